package datasets

import "github.com/go-json-experiment/json/jsontext"

// Message is one turn of a conversation: who speaks and the text.
// Role is one of system, user, assistant or tool.
type Message struct {
	Role    string
	Content string
	// ContentJSON is the content of a tool's message that is a JSON value and
	// not a string; nil means Content.
	ContentJSON jsontext.Value
	// ToolCalls are what an assistant's message asks for in place of Content.
	ToolCalls []ToolCall
	// Untrained leaves an assistant's message out of the loss: OpenAI's weight 0.
	Untrained bool
	// Tools describe the functions that the whole conversation may call, each a
	// JSON object; the first message alone has them.
	Tools [][]byte
}

// ToolCall is one call of a function.
type ToolCall struct {
	Name      string
	Arguments jsontext.Value
}
