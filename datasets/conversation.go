package datasets

// Message is one turn of a conversation: who speaks and the text.
// Role is one of system, user, assistant or tool.
type Message struct {
	Role    string
	Content string
}
