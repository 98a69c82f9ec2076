package runfolder

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"align/internal/atomicfile"

	"github.com/go-json-experiment/json"
)

// holderFile of a run's folder says which process is at work there. It lies
// beside lockFile, for some systems let nobody read what is locked. It counts
// only while that is: a process that is killed leaves its own behind.
const holderFile = ".holder"

// holder is the process that holds a run's folder.
type holder struct {
	PID     int       `json:"pid"`
	Host    string    `json:"host"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

// leave writes who holds the folder. The claim holds without it.
func (h holder) leave(run string) error {
	return atomicfile.WriteFile(filepath.Join(run, holderFile), func(w io.Writer) error { return json.MarshalWrite(w, h) })
}

// thisProcess is the holder that this process is.
func thisProcess() holder {
	host, _ := os.Hostname() // "" is left out
	return holder{PID: os.Getpid(), Host: host, Command: commandLine(os.Args), Since: time.Now().Truncate(time.Second)}
}

// commandLine is a command as a shell takes it, cut where it is long.
func commandLine(args []string) string {
	const longest = 400
	var words []string
	for i, a := range args {
		if i == 0 {
			a = filepath.Base(a)
		}
		if a == "" || strings.ContainsFunc(a, func(r rune) bool {
			return unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune(`"'\$&;|<>*?`, r)
		}) {
			a = strconv.Quote(a)
		}
		words = append(words, a)
	}
	if line := []rune(strings.Join(words, " ")); len(line) > longest {
		return string(line[:longest]) + "..."
	}
	return strings.Join(words, " ")
}

// readHolder says who holds a folder, in words.
func readHolder(run string) string {
	var h holder
	data, err := os.ReadFile(filepath.Join(run, holderFile))
	if err != nil || json.Unmarshal(data, &h) != nil || h.PID == 0 {
		return "another process is at work in it"
	}
	where := ""
	if own, _ := os.Hostname(); h.Host != "" && h.Host != own {
		where = " on " + h.Host
	}
	return fmt.Sprintf("process %d%s is at work in it since %s: %s", h.PID, where, h.Since.Local().Format(time.DateTime), h.Command)
}
