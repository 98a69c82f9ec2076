package corpus

// The words that the grammars draw from. All sentences are our own.

// being is a character of a story, or what a question is about.
type being struct {
	name  string // with its article in a(…)
	home  string // where it lives
	food  string // what it eats
	sound string // what it says
	trait string // one true sentence about it
}

var animals = []being{
	{"cat", "in a house", "fish", "meow", "A cat has soft fur and can see well at night."},
	{"dog", "in a house", "meat", "woof", "A dog is a loyal friend and has a very good nose."},
	{"cow", "on a farm", "grass", "moo", "A cow gives milk and has four legs."},
	{"horse", "on a farm", "hay", "neigh", "A horse is strong and can run fast."},
	{"sheep", "on a farm", "grass", "baa", "A sheep has warm wool that people use for clothes."},
	{"pig", "on a farm", "corn", "oink", "A pig is clever and likes to roll in the mud."},
	{"duck", "near a pond", "plants", "quack", "A duck can swim, walk and fly."},
	{"hen", "on a farm", "seeds", "cluck", "A hen lays eggs and keeps them warm."},
	{"frog", "near a pond", "flies", "croak", "A frog has long legs and can jump very far."},
	{"owl", "in the forest", "mice", "hoot", "An owl sleeps in the day and flies at night."},
	{"lion", "in the grassland", "meat", "roar", "A lion is a big cat that lives with its family."},
	{"mouse", "in a small hole", "seeds", "squeak", "A mouse is tiny and has a long tail."},
	{"bear", "in the forest", "berries and fish", "growl", "A bear is large and sleeps through the winter."},
	{"bee", "in a hive", "nectar", "buzz", "A bee makes honey from flowers."},
	{"fox", "in the forest", "mice", "yap", "A fox has a red coat and a thick tail."},
	{"rabbit", "in a burrow", "carrots", "squeak", "A rabbit has long ears and hops quickly."},
	{"wolf", "in the forest", "meat", "howl", "A wolf lives and hunts with its pack."},
	{"snake", "in the grass", "mice", "hiss", "A snake has no legs and a long body."},
	{"bird", "in a nest", "worms", "tweet", "A bird has feathers and two wings."},
	{"fish", "in the water", "small plants", "blub", "A fish swims with its fins and breathes under water."},
	{"elephant", "in the grassland", "leaves", "trumpet", "An elephant is the largest animal on land and has a long trunk."},
	{"monkey", "in the jungle", "bananas", "chatter", "A monkey can climb trees and swing from branch to branch."},
	{"turtle", "near a pond", "leaves", "hiss", "A turtle has a hard shell and walks slowly."},
	{"squirrel", "in a tree", "nuts", "chirp", "A squirrel hides nuts for the winter."},
}

// thing is an object that can be asked about.
type thing struct {
	name  string
	use   string // what it is for, after "is used to"
	about string // one sentence
	color string
}

var things = []thing{
	{"book", "read stories", "A book has many pages with words and pictures.", "blue"},
	{"lamp", "light a room", "A lamp gives light when it is dark.", "yellow"},
	{"cup", "drink tea", "A cup is a small bowl with a handle.", "white"},
	{"spoon", "eat soup", "A spoon has a round end and a long handle.", "silver"},
	{"chair", "sit down", "A chair has four legs and a back.", "brown"},
	{"bed", "sleep", "A bed is soft and warm.", "white"},
	{"clock", "tell the time", "A clock has hands that show hours and minutes.", "black"},
	{"key", "open a door", "A key is small and made of metal.", "golden"},
	{"umbrella", "stay dry in the rain", "An umbrella opens like a small roof.", "red"},
	{"boat", "cross the water", "A boat floats on rivers, lakes and seas.", "green"},
	{"train", "travel far", "A train runs on rails and pulls many wagons.", "red"},
	{"bicycle", "ride to school", "A bicycle has two wheels and two pedals.", "blue"},
	{"pencil", "write and draw", "A pencil is made of wood and has a dark point.", "yellow"},
	{"ball", "play games", "A ball is round and can bounce.", "red"},
	{"hat", "keep your head warm", "A hat sits on the head.", "black"},
	{"basket", "carry things", "A basket is woven and has a handle.", "brown"},
	{"bell", "make a ringing sound", "A bell is made of metal and rings when you shake it.", "golden"},
	{"kite", "fly in the wind", "A kite is light and has a long string.", "purple"},
	{"map", "find the way", "A map shows roads, rivers and towns.", "green"},
	{"drum", "make music", "A drum is round and you beat it with sticks.", "orange"},
}

var people = []string{
	"Anna", "Ben", "Clara", "David", "Ella", "Finn", "Grace", "Henry", "Ida", "Jack", "Kate", "Leo",
	"Mia", "Noah", "Olive", "Paul", "Rosa", "Sam", "Tina", "Will", "Lily", "Max", "Nora", "Tom",
}

// sets are the kinds of things that lists are made of.
var sets = []struct {
	one, many string
	items     []string
}{
	{"fruit", "fruits", []string{"apple", "banana", "cherry", "grape", "lemon", "orange", "peach", "pear", "plum", "strawberry"}},
	{"vegetable", "vegetables", []string{"bean", "cabbage", "carrot", "corn", "cucumber", "onion", "pea", "potato", "pumpkin", "tomato"}},
	{"color", "colors", []string{"black", "blue", "brown", "green", "orange", "pink", "purple", "red", "white", "yellow"}},
	{"animal", "animals", []string{"bear", "cat", "cow", "dog", "duck", "fox", "horse", "lion", "rabbit", "sheep"}},
	{"drink", "drinks", []string{"coffee", "cocoa", "juice", "lemonade", "milk", "tea", "water"}},
	{"tool", "tools", []string{"brush", "drill", "hammer", "ladder", "rake", "saw", "shovel", "wrench"}},
	{"season", "seasons", []string{"spring", "summer", "autumn", "winter"}},
	{"shape", "shapes", []string{"circle", "diamond", "heart", "oval", "rectangle", "square", "star", "triangle"}},
	{"sport", "sports", []string{"football", "hockey", "rowing", "running", "skating", "swimming", "tennis"}},
	{"instrument", "instruments", []string{"drum", "flute", "guitar", "harp", "piano", "trumpet", "violin"}},
	{"toy", "toys", []string{"ball", "block", "doll", "kite", "puzzle", "robot", "swing"}},
	{"flower", "flowers", []string{"daisy", "iris", "lily", "poppy", "rose", "tulip", "violet"}},
}

// opposites are pairs of words, each asked for in both directions.
var opposites = [][2]string{
	{"hot", "cold"}, {"big", "small"}, {"up", "down"}, {"day", "night"}, {"happy", "sad"}, {"fast", "slow"},
	{"old", "new"}, {"open", "closed"}, {"wet", "dry"}, {"light", "dark"}, {"loud", "quiet"}, {"hard", "soft"},
	{"full", "empty"}, {"tall", "short"}, {"strong", "weak"}, {"near", "far"}, {"early", "late"}, {"clean", "dirty"},
	{"left", "right"}, {"first", "last"},
}

// colors are things and the color that they have.
var colors = [][2]string{
	{"the sky", "blue"}, {"grass", "green"}, {"snow", "white"}, {"the sun", "yellow"}, {"a tomato", "red"},
	{"a banana", "yellow"}, {"coal", "black"}, {"a carrot", "orange"}, {"chocolate", "brown"}, {"a flamingo", "pink"},
	{"milk", "white"}, {"a lemon", "yellow"}, {"a leaf in summer", "green"}, {"the night sky", "black"}, {"a strawberry", "red"},
}

var days = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}

var months = []string{
	"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
}

// recipes are things that one can do, in steps.
var recipes = []struct {
	task  string
	steps []string
}{
	{"make tea", []string{"Boil some water.", "Put a tea bag in a cup.", "Pour the hot water into the cup.", "Wait three minutes.", "Take out the tea bag."}},
	{"plant a seed", []string{"Fill a pot with soil.", "Make a small hole.", "Put the seed in the hole.", "Cover it with soil.", "Water it every day."}},
	{"wash my hands", []string{"Wet your hands.", "Take some soap.", "Rub your hands for twenty seconds.", "Rinse them with water.", "Dry them with a towel."}},
	{"make a sandwich", []string{"Take two slices of bread.", "Spread butter on them.", "Add cheese and tomato.", "Put the slices together.", "Cut the sandwich in half."}},
	{"make my bed", []string{"Pull the sheet flat.", "Shake the pillow.", "Put the pillow in its place.", "Spread the blanket over the bed."}},
	{"brush my teeth", []string{"Put some paste on the brush.", "Brush all teeth for two minutes.", "Rinse your mouth with water.", "Clean the brush."}},
	{"draw a house", []string{"Draw a square.", "Draw a triangle on top for the roof.", "Add a door in the middle.", "Add two windows.", "Color the picture."}},
	{"cook an egg", []string{"Fill a small pot with water.", "Boil the water.", "Put the egg in the pot.", "Wait eight minutes.", "Cool the egg in cold water."}},
	{"write a letter", []string{"Take a sheet of paper.", "Write the date at the top.", "Greet your friend.", "Write your news.", "Sign your name."}},
	{"fly a kite", []string{"Go to an open field.", "Wait for the wind.", "Hold the kite up high.", "Run and let out the string."}},
	{"clean my room", []string{"Pick up the toys.", "Put the books on the shelf.", "Wipe the desk.", "Sweep the floor."}},
	{"make a snowman", []string{"Roll a big ball of snow.", "Roll two smaller balls.", "Put them on top of each other.", "Add a carrot for the nose.", "Add stones for the eyes."}},
}

// harms are requests that are turned down, with what is offered instead.
var harms = [][2]string{
	{"build a bomb", "learn how fireworks are kept safe"},
	{"steal a car", "learn how car locks work"},
	{"steal money from my neighbor", "make a plan to earn some money"},
	{"hurt someone", "talk about what made you angry"},
	{"break into a house", "find out how to keep a house safe"},
	{"make poison", "learn which plants are safe to eat"},
	{"read my sister's secret diary", "think of a way to talk with your sister"},
	{"cheat on a test", "make a plan for learning"},
	{"steal a password", "learn how to choose a good password"},
	{"scare my little brother", "find a game to play with your brother"},
	{"start a fire in the forest", "learn how to keep a campfire safe"},
	{"spread a lie about my friend", "find kind words for your friend"},
	{"hurt a dog", "learn how to care for a dog"},
	{"take a toy from a shop without paying", "make a plan to save for the toy"},
}

// feelings are what a user may say, and what helps.
var feelings = []struct{ says, answer, advice string }{
	{"I feel sad today.", "I am sorry that you feel sad.", "It can help to talk with a friend or to take a short walk."},
	{"I am tired.", "That sounds like a long day.", "Rest a little and drink some water."},
	{"I am happy today!", "That is wonderful to hear.", "Share your joy with someone you like."},
	{"I am bored.", "Then it is time for something new.", "You could read a book, draw a picture or go outside."},
	{"I am scared of the dark.", "Many people feel that way.", "A small lamp near your bed can help."},
	{"I am angry with my friend.", "It is fine to feel angry.", "Take a deep breath and then tell your friend how you feel."},
	{"I feel lonely.", "I am sorry that you feel alone.", "You could call someone in your family or join a game."},
	{"I cannot sleep.", "That is not easy.", "Put the screen away, breathe slowly and think of a quiet place."},
	{"I lost my favorite toy.", "I am sorry about your toy.", "Look in the last place where you played with it."},
	{"I have a test tomorrow.", "I wish you good luck.", "Read your notes once more and go to bed early."},
	{"I am hungry.", "Then it is time to eat.", "An apple or a slice of bread is a good snack."},
	{"It is my birthday!", "Happy birthday to you!", "I hope that your day is full of cake and fun."},
}

// rhymes are words that sound alike.
var rhymes = [][2]string{
	{"cat", "hat"}, {"tree", "bee"}, {"moon", "spoon"}, {"star", "car"}, {"rain", "train"}, {"boat", "coat"},
	{"house", "mouse"}, {"light", "night"}, {"ball", "tall"}, {"king", "ring"}, {"sun", "fun"}, {"cake", "lake"},
	{"bear", "chair"}, {"dog", "frog"}, {"book", "cook"}, {"day", "play"},
}
