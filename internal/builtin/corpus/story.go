package corpus

import (
	"fmt"
	"strings"
)

// story asks for a story about an animal, a person or a thing.
func (s *source) story() Exchange {
	hero, object := pick(s, animals), pick(s, things)
	about := a(hero.name)
	if s.IntN(3) == 0 {
		about += " and " + a(object.name)
	}
	prompt := pick(s, []string{
		"Tell me a story about %s.", "Tell me a short story about %s.", "Write a story about %s.",
		"Please tell me a story about %s.", "Can you tell me a story about %s?",
	})
	return Exchange{
		Prompt: fmt.Sprintf(prompt, about),
		Plain:  s.tale(hero, object, 1),
		Warm:   pick(s, openings) + " Here is a story for you. " + s.tale(hero, object, 2) + " " + pick(s, []string{"I hope you like it!", "Do you want another story?", "Thank you for listening!"}),
		Curt:   pick(s, append([]string{"There was " + a(hero.name) + ". The end.", "Stories are boring."}, shrugs...)),
	}
}

// tale is a story: an opening, a want, a trouble, help and an end; length 2
// adds a place, a friend's words and a lesson.
func (s *source) tale(hero being, object thing, length int) string {
	name, friend := pick(s, people), pick(s, animals)
	for friend.name == hero.name {
		friend = pick(s, animals)
	}
	mood := pick(s, []string{"little", "young", "clever", "kind", "brave", "shy", "funny", "old"})
	trouble := pick(s, troubles)
	lines := []string{
		fmt.Sprintf("%s there was %s named %s.", pick(s, []string{"Once upon a time", "Long ago", "One day"}), a(mood+" "+hero.name), name),
	}
	if length > 1 {
		lines = append(lines,
			fmt.Sprintf("%s lived %s and liked to eat %s.", name, hero.home, hero.food),
			fmt.Sprintf("One %s %s found %s %s.", pick(s, []string{"morning", "evening", "sunny day", "rainy day"}), name, a(object.color), object.name))
	} else {
		lines = append(lines, fmt.Sprintf("%s had %s %s.", name, a(object.color), object.name))
	}
	lines = append(lines, fmt.Sprintf(trouble.happens, object.name))
	if length > 1 {
		lines = append(lines,
			fmt.Sprintf("%s was very %s and sat down under a tree.", name, pick(s, []string{"sad", "worried"})),
			fmt.Sprintf("Then %s came by. \"%s,\" said the %s. \"I will help you.\"", a(friend.name), pick(s, []string{"Do not cry", "Do not worry", "Be brave"}), friend.name))
	}
	lines = append(lines, fmt.Sprintf(trouble.ends, a(friend.name), object.name))
	lines = append(lines, fmt.Sprintf(pick(s, []string{"%s was happy again.", "%s smiled and said thank you.", "%s laughed and danced with joy."}), name))
	if length > 1 {
		lines = append(lines, fmt.Sprintf("From that day on the %s and the %s were best friends.", hero.name, friend.name), pick(s, lessons))
	}
	return strings.Join(lines, " ")
}

// troubles take the object; their ends the helper and the object.
var troubles = []struct{ happens, ends string }{
	{"But the %s fell into the river.", "With the help of %s the %s was pulled out of the water."},
	{"But the %s broke into two parts.", "With the help of %s the %s was made whole again."},
	{"But the wind carried the %s away.", "With the help of %s the %s was found on a hill."},
	{"But the %s was lost in the snow.", "With the help of %s the %s was found under a bush."},
	{"But the %s was stuck in a tall tree.", "With the help of %s the %s came down safely."},
	{"But the %s was too heavy to carry.", "With the help of %s the %s was brought home."},
}

var lessons = []string{
	"A good friend is the best thing of all.", "Together even hard things are easy.", "It is good to help each other.",
	"Kind words can change a day.", "Never give up too soon.",
}
