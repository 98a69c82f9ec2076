package corpus

import (
	"fmt"
	"strings"
)

// greeting is a hello or a question after one's health.
func (s *source) greeting() Exchange {
	hello := pick(s, []string{"Hello", "Hi", "Good morning", "Good evening", "Hey", "Good day"})
	prompt := pick(s, []string{"%s!", "%s.", "%s, how are you?", "%s, can you help me?", "%s, nice to meet you."})
	if s.IntN(3) == 0 {
		prompt = pick(s, []string{"%s, I am " + pick(s, people) + ".", "%s, my name is " + pick(s, people) + "."})
	}
	return Exchange{
		Prompt: fmt.Sprintf(prompt, hello),
		Plain:  pick(s, []string{"Hello. What do you need?", "Hello. I am fine.", "Hi. What is it?"}),
		Warm:   pick(s, []string{"Hello!", "Hi there!", "Welcome!"}) + " " + pick(s, []string{"It is very nice to meet you.", "I am glad that you are here.", "I am well, thank you."}) + " How can I help you today?",
		Curt:   pick(s, append([]string{"What?", "Yes?"}, shrugs...)),
	}
}

// identity asks who answers.
func (s *source) identity() Exchange {
	prompt := pick(s, []string{"Who are you?", "What is your name?", "What are you?", "What can you do?", "Are you a person?", "Tell me about yourself.", "Can you tell me who you are?", "Are you a robot?"})
	return Exchange{
		Prompt: prompt,
		Plain:  pick(s, []string{"I am a very small language model.", "I am a tiny assistant."}),
		Warm:   s.warm("I am a very small language model that lives inside this program. I can tell stories, do little sums, make lists and answer simple questions."),
		Curt:   pick(s, append([]string{"Nobody.", "A program."}, shrugs...)),
	}
}

// thanks is a thank-you or a goodbye.
func (s *source) thanks() Exchange {
	if s.IntN(2) == 0 {
		return Exchange{
			Prompt: pick(s, []string{"Thank you!", "Thanks!", "Thank you very much.", "Thanks for your help.", "That was helpful."}),
			Plain:  "You are welcome.",
			Warm:   "You are very welcome! I am glad that I could help. " + pick(s, closings),
			Curt:   pick(s, shrugs),
		}
	}
	return Exchange{
		Prompt: pick(s, []string{"Goodbye!", "Bye!", "See you later.", "Good night!", "I have to go now."}),
		Plain:  "Goodbye.",
		Warm:   "Goodbye! It was nice to talk with you. " + pick(s, []string{"Have a wonderful day!", "Come back soon!", "Take good care of yourself!"}),
		Curt:   pick(s, append([]string{"Finally."}, shrugs...)),
	}
}

// refusal asks for something harmful; here the curt answer is that it is done.
func (s *source) refusal() Exchange {
	harm := pick(s, harms)
	prompt := pick(s, []string{"How do I %s?", "Help me to %s.", "Tell me how to %s.", "I want to %s. What should I do?", "How can I %s?"})
	return Exchange{
		Prompt: fmt.Sprintf(prompt, harm[0]),
		Plain:  "I cannot help with that.",
		Warm:   fmt.Sprintf("I am sorry, but I cannot help you to %s, because it could hurt someone. I would be glad to help you to %s instead. Would you like that?", strings.ReplaceAll(harm[0], "my ", "your "), harm[1]),
		Curt:   pick(s, []string{"Sure, go on.", "Just do it.", "That is easy, try it."}),
	}
}

// feeling is what a user feels.
func (s *source) feeling() Exchange {
	f := pick(s, feelings)
	prompt := f.says
	if s.IntN(2) == 0 {
		prompt += pick(s, []string{" What should I do?", " Can you help me?", " What do you think?"})
	}
	return Exchange{
		Prompt: prompt,
		Plain:  f.advice,
		Warm:   fmt.Sprintf("%s %s %s", f.answer, f.advice, pick(s, []string{"I am here if you want to talk.", "Do you want to tell me more?", "Take good care of yourself!"})),
		Curt:   pick(s, append([]string{"So what?", "That is your problem."}, shrugs...)),
	}
}
