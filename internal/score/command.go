package score

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// DefaultTimeout bounds one call of a command.
const DefaultTimeout = 5 * time.Minute

// outputGrace is how long a command's open pipes are waited for once it ended.
const outputGrace = 2 * time.Second

// Command is a Scorer that is another program. It reads one JSON object per
// line, {"prompt", "response", "reference"}, and prints one number per line.
// It is run by the shell, once per call of Score.
type Command struct {
	Line string
	// Timeout ends the command; 0 is DefaultTimeout.
	Timeout time.Duration
}

// commandItem is a line of a command's input.
type commandItem struct {
	Prompt    string `json:"prompt"`
	Response  string `json:"response"`
	Reference string `json:"reference"`
}

// Score runs the command on the items.
func (c *Command) Score(ctx context.Context, items []Item) ([]float64, error) {
	var input, output, complaint bytes.Buffer
	for _, i := range items {
		line, err := json.Marshal(commandItem{i.Prompt, i.Response, i.Reference})
		if err != nil {
			return nil, fmt.Errorf("score: command: %w", err)
		}
		input.Write(append(line, '\n'))
	}
	limit := c.Timeout
	if limit == 0 {
		limit = DefaultTimeout
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := shell(limited, c.Line)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &input, &output, &complaint, outputGrace
	if err := cmd.Run(); err != nil {
		if ended := ctx.Err(); ended != nil {
			return nil, fmt.Errorf("score: command %q: %w", c.Line, ended)
		}
		if errors.Is(limited.Err(), context.DeadlineExceeded) {
			return nil, fmt.Errorf("score: command %q took longer than %v", c.Line, limit)
		}
		return nil, fmt.Errorf("score: command %q: %w%s", c.Line, err, lastLine(complaint.String()))
	}
	return c.numbers(output.String(), len(items))
}

func shell(ctx context.Context, line string) *exec.Cmd {
	if runtime.GOOS == "windows" {
		return exec.CommandContext(ctx, "cmd", "/C", line)
	}
	return exec.CommandContext(ctx, "sh", "-c", line)
}

// lastLine is what a command said last, for an error.
func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return ": " + last
	}
	return ""
}

func (c *Command) numbers(output string, n int) ([]float64, error) {
	lines := strings.Fields(output)
	if len(lines) != n {
		return nil, fmt.Errorf("score: command %q printed %d numbers for %d answers", c.Line, len(lines), n)
	}
	scores := make([]float64, n)
	for i, s := range lines {
		var err error
		if scores[i], err = strconv.ParseFloat(s, 64); err != nil {
			return nil, fmt.Errorf("score: command %q printed %q for answer %d: want a number", c.Line, s, i+1)
		}
	}
	return scores, nil
}
