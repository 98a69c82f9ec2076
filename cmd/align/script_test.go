package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"align/internal/fixture"
)

// mainSwitch makes the test binary be the program: scripts run it as align.
const mainSwitch = "ALIGN_TEST_MAIN"

// cardSwitch gives that program a simulated card, where there is a simulator: it
// names the card's generation.
const cardSwitch = "ALIGN_TEST_CARD"

// countSwitch names kernels, whose launches that program tells on stderr.
const countSwitch = "ALIGN_TEST_LAUNCHES"

// simulate makes the card, and launches tells how often a kernel was launched on
// it; card_test.go sets them.
var (
	simulate func(generation string) (fault func() error)
	launches func(kernel string) (n int64, ok bool)
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(mainSwitch) != "1":
		hearHangup()
		os.Exit(m.Run())
	case os.Getenv(cardSwitch) != "" && simulate != nil:
		os.Exit(runSimulated())
	}
	testOnlyCalibration = time.Nanosecond // two steps of each model that a plan measures, and no more
	main()
}

// hearHangup undoes that SIGHUP is ignored, as under nohup, for the programs that scripts
// start: what a parent ignores its children ignore, what it handles they do not.
func hearHangup() {
	if signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
}

// exitFault is the exit code where the simulator found a kernel wrong.
const exitFault = 99

func runSimulated() int {
	debug.SetGCPercent(400) // the simulator's code is many small pieces, and stays
	fault := simulate(os.Getenv(cardSwitch))
	code := run(os.Args[1:], systemStreams())
	for _, kernel := range strings.Fields(os.Getenv(countSwitch)) {
		if n, ok := launches(kernel); ok {
			fmt.Fprintf(os.Stderr, "%d launches of %s\n", n, kernel)
		}
	}
	if err := fault(); err != nil {
		fmt.Fprintln(os.Stderr, "simulator:", err)
		return exitFault
	}
	return code
}

// TestScripts runs the program in testdata/script, one archive per command, in
// the language of https://pkg.go.dev/github.com/rogpeppe/go-internal/testscript
// as far as [script] knows it. $SHARED is the shared folder.
func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the program about a hundred times")
	}
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	shared := fixture.Find(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := &script{t: t, file: file, dir: t.TempDir(), env: map[string]string{"SHARED": shared}}
			s.run(string(data))
		})
	}
}

// script runs one archive: commands, then files that lie in the work folder.
// It knows exec, exitcode, stdin, stdout, stderr, cmp, near, exists, env and skip,
// a leading "!" and the conditions [shared] and [simulated].
type script struct {
	t              *testing.T
	file, dir      string
	env            map[string]string
	stdin          string
	stdout, stderr string
}

func (s *script) run(text string) {
	s.env["WORK"] = s.dir
	commands := s.unpack(text)
	for i, line := range strings.Split(commands, "\n") {
		if err := s.line(line); err != nil {
			s.t.Fatalf("%s:%d: %s: %v\nstdout:\n%s\nstderr:\n%s", s.file, i+1, line, err, s.stdout, s.stderr)
		}
	}
}

// unpack writes the archive's files and returns what stands before them.
func (s *script) unpack(text string) (commands string) {
	parts := regexp.MustCompile(`(?m)^-- (\S+) --\n`).Split(text, -1)
	names := regexp.MustCompile(`(?m)^-- (\S+) --$`).FindAllStringSubmatch(text, -1)
	for i, name := range names {
		path := filepath.Join(s.dir, name[1])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(parts[i+1]), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	return parts[0]
}

func (s *script) line(line string) error {
	words := s.words(line)
	if len(words) > 0 && strings.HasPrefix(words[0], "[") {
		if !s.holds(words[0]) {
			return nil
		}
		words = words[1:]
	}
	want := true
	if len(words) > 0 && words[0] == "!" {
		want, words = false, words[1:]
	}
	if len(words) == 0 {
		return nil
	}
	return s.command(words[0], words[1:], want)
}

func (s *script) holds(condition string) bool {
	if condition == "[simulated]" {
		return s.env[cardSwitch] != "" && os.Getenv("ALIGN_TEST_GPU") != "1"
	}
	return (condition == "[shared]") == (s.env["SHARED"] != "")
}

// words splits a line at spaces outside single quotes and puts variables in;
// "#" begins a comment.
func (s *script) words(line string) []string {
	var words []string
	for _, w := range regexp.MustCompile(`'(?:[^']|'')*'|\S+`).FindAllString(line, -1) {
		switch {
		case strings.HasPrefix(w, "#"):
			return words
		case strings.HasPrefix(w, "'"):
			w = strings.ReplaceAll(w[1:len(w)-1], "''", "'")
		default:
			w = regexp.MustCompile(`\$[A-Z]+`).ReplaceAllStringFunc(w, func(v string) string { return s.env[v[1:]] })
		}
		words = append(words, w)
	}
	return words
}

func (s *script) command(name string, args []string, want bool) error {
	switch name {
	case "exec":
		return s.exec(args, want)
	case "exitcode":
		return s.exitCode(args)
	case "stdin":
		s.stdin = s.text(args[0])
		return nil
	case "stdout", "stderr":
		return match(args[0], s.text(name), want)
	case "cmp":
		if got, wanted := s.text(args[0]), s.text(args[1]); got != wanted {
			return fmt.Errorf("%s differs:\n%s\nwant:\n%s", args[0], got, wanted)
		}
		return nil
	case "near":
		return s.near(args)
	case "exists":
		if _, err := os.Stat(s.path(args[0])); (err == nil) != want {
			return fmt.Errorf("exists is %v, want %v", err == nil, want)
		}
		return nil
	case "env":
		key, value, _ := strings.Cut(args[0], "=")
		s.env[key] = value
		return nil
	case "skip":
		s.t.Skip(strings.Join(args, " "))
	}
	return errors.New("unknown script command")
}

// near holds the numbers that two files of JSON lines have under a key to one
// another: "near loss 0.02 A B". A line without the key in both is passed over.
func (s *script) near(args []string) error {
	limit, err := strconv.ParseFloat(args[1], 64)
	if err != nil {
		return err
	}
	number := regexp.MustCompile(`"` + regexp.QuoteMeta(args[0]) + `":(-?[0-9.e+-]+)`)
	a, b := number.FindAllStringSubmatch(s.text(args[2]), -1), number.FindAllStringSubmatch(s.text(args[3]), -1)
	if len(a) == 0 || len(a) != len(b) {
		return fmt.Errorf("%d and %d numbers under %q", len(a), len(b), args[0])
	}
	worst := 0.0
	for i := range a {
		x, errX := strconv.ParseFloat(a[i][1], 64)
		y, errY := strconv.ParseFloat(b[i][1], 64)
		if err := errors.Join(errX, errY); err != nil {
			return err
		}
		if worst = max(worst, math.Abs(x-y)); !(worst <= limit) {
			return fmt.Errorf("number %d under %q is %g and %g: want them within %g", i+1, args[0], x, y, limit)
		}
	}
	s.t.Logf("%s: %s of %s and %s differ by %.2g at most, limit %g", s.file, args[0], args[2], args[3], worst, limit)
	return nil
}

func (s *script) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(s.dir, name)
}

// text is the last command's output, or a file's content.
func (s *script) text(name string) string {
	switch name {
	case "stdout":
		return s.stdout
	case "stderr":
		return s.stderr
	}
	data, err := os.ReadFile(s.path(name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(data)
}

func match(pattern, text string, want bool) error {
	re, err := regexp.Compile("(?m)" + pattern)
	if err != nil {
		return err
	}
	if re.MatchString(text) != want {
		return fmt.Errorf("a match is %v, want %v", !want, want)
	}
	return nil
}

func (s *script) exec(args []string, want bool) error {
	if err := s.start(args); (err == nil) != want {
		return fmt.Errorf("success is %v, want %v (%v)", err == nil, want, err)
	}
	return nil
}

func (s *script) exitCode(args []string) error {
	code := 0
	var exit *exec.ExitError
	if err := s.start(args[1:]); errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		return fmt.Errorf("exit code %d, want %s", code, args[0])
	}
	return nil
}

// start runs a program in the work folder; align is this binary.
func (s *script) start(args []string) error {
	c := exec.Command(args[0], args[1:]...)
	c.Dir, c.Stdin = s.dir, strings.NewReader(s.stdin)
	c.Env = os.Environ()
	for key, value := range s.env {
		c.Env = append(c.Env, key+"="+value)
	}
	if args[0] == "align" {
		c.Path, c.Err = os.Args[0], nil
		c.Env = append(c.Env, mainSwitch+"=1")
	}
	if path, err := filepath.Abs(c.Path); err == nil && args[0] == "align" {
		c.Path = path
	}
	if path, err := filepath.Abs(os.Args[0]); err == nil && args[0] == "sh" { // a shell's align is $ALIGN
		c.Env = append(c.Env, mainSwitch+"=1", "ALIGN="+path)
	}
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	s.stdin, s.stdout, s.stderr = "", stdout.String(), stderr.String()
	return err
}
