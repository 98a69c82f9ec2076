package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a program on a pseudo-terminal: what it prints, and what is typed.
type terminal struct {
	t      *testing.T
	master *os.File
	mu     sync.Mutex
	shown  strings.Builder
}

// openTerminal starts the program on a terminal of its own.
func openTerminal(t *testing.T, args ...string) (*terminal, *exec.Cmd) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	defer slave.Close()
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), mainSwitch+"=1", "ALIGN_CACHE="+t.TempDir(), "NO_COLOR=1")
	c.Stdin, c.Stdout, c.Stderr = slave, slave, slave
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	p := &terminal{t: t, master: master}
	go p.read()
	return p, c
}

func (p *terminal) read() {
	buffer := make([]byte, 4096)
	for {
		n, err := p.master.Read(buffer)
		p.mu.Lock()
		p.shown.Write(buffer[:n])
		p.mu.Unlock()
		if err != nil {
			return // the program has ended
		}
	}
}

func (p *terminal) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.ReplaceAll(p.shown.String(), "\r", "")
}

// waitFor returns what was shown after from as soon as it holds what is wanted.
func (p *terminal) waitFor(from int, want func(string) bool, what string) string {
	p.t.Helper()
	for range 12000 { // a minute: a machine may have other work
		if text := p.text(); len(text) >= from && want(text[from:]) {
			return text[from:]
		}
		time.Sleep(5 * time.Millisecond)
	}
	p.t.Fatalf("no %s in %q", what, p.text()[from:])
	return ""
}

// typed types keys and returns how much was shown before.
func (p *terminal) typed(keys string) (from int) {
	p.t.Helper()
	from = len(p.text())
	if _, err := p.master.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
	return from
}

// prompted tells whether the program waits for the next line. Where a Ctrl-C came
// after its answer, its hint and the line behind it each ask for one.
func prompted(text string) bool {
	return strings.HasSuffix(text, "\n> ") || strings.HasSuffix(text, "\n> > ")
}

// TestCtrlCOnATerminal: a real Ctrl-C stops a long answer; the conversation goes
// on, and the same question gives the same answer to its end.
func TestCtrlCOnATerminal(t *testing.T) {
	const question = "Tell me a story about a fox.\n"
	// A high temperature rambles, so that the answer is long.
	p, c := openTerminal(t, "chat", "--temperature", "30", "--max-new", "400")
	p.waitFor(0, func(s string) bool { return strings.HasSuffix(s, "> ") }, "prompt")
	stoppedShort := false
	ask := func() int { return p.typed(question) + len(question) }
	from := ask()
	whole := strings.TrimSuffix(p.waitFor(from, prompted, "whole answer"), "\n> ")
	// On a busy machine an answer may end before the key arrives.
	for range 10 {
		from = p.typed("/reset\n")
		p.waitFor(from, prompted, "prompt after /reset")
		from = ask()
		p.waitFor(from, func(s string) bool { return len(s) > 30 }, "answer")
		p.typed("\x03")
		stopped, _, _ := strings.Cut(p.waitFor(from, prompted, "prompt after Ctrl-C"), "^C") // the terminal's echo
		stopped = strings.TrimSuffix(stopped, "\n> ")
		if !strings.HasPrefix(whole, stopped) {
			t.Errorf("the answer that was stopped is %q, the whole one %q", stopped, whole)
		}
		if stoppedShort = len(stopped) < len(whole); stoppedShort {
			break
		}
	}
	if !stoppedShort {
		t.Error("Ctrl-C stopped no answer")
	}
	p.waitFor(p.typed("\x03"), func(s string) bool { return strings.Contains(s, "/quit ends the conversation\n> ") }, "hint")
	p.typed("/quit\n")
	if err := c.Wait(); err != nil {
		t.Errorf("/quit ends with %v", err)
	}
}
