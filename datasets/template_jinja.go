package datasets

import "strings"

// Templates are not run but recognised: two Jinja texts that differ in
// layout alone have one canonical form. The canonical form has no comments,
// one kind of quotes, newlines in strings as \n, no needless white space in
// tags, and applies the white-space control of Jinja with trim_blocks and
// lstrip_blocks, which Hugging Face sets
// (https://jinja.palletsprojects.com/en/stable/templates/#whitespace-control).

const jinjaSpace = " \t\n"

// canonicalJinja is the canonical form of a template. Of a text with a tag
// that does not end, the rest stays as it is.
func canonicalJinja(text string) string {
	text = strings.Trim(strings.ReplaceAll(text, "\r\n", "\n"), jinjaSpace)
	var b strings.Builder
	var before jinjaTag
	for {
		tag, ok := nextTag(text)
		if !ok {
			b.WriteString(before.trimAfter(text))
			break
		}
		b.WriteString(tag.trimBefore(before.trimAfter(text[:tag.start])))
		if tag.kind != '#' {
			b.WriteString("{" + string(tag.kind) + canonicalCode(tag.code) + closeOf(tag.kind))
		}
		text, before = text[tag.end:], tag
	}
	return strings.NewReplacer("message.role", `message["role"]`, "message.content", `message["content"]`).Replace(b.String())
}

func closeOf(kind byte) string {
	if kind == '{' {
		return "}}"
	}
	return string(kind) + "}"
}

// jinjaTag is a tag at text[start:end]. Its kind is '{', '%' or '#'.
type jinjaTag struct {
	start, end            int
	kind                  byte
	code                  string
	trimsLeft, trimsRight bool
}

// nextTag finds the first tag of text.
func nextTag(text string) (jinjaTag, bool) {
	for i := 0; i+1 < len(text); i++ {
		kind := text[i+1]
		if text[i] != '{' || kind != '{' && kind != '%' && kind != '#' {
			continue
		}
		n := tagEnd(text[i+2:], kind)
		if n < 0 {
			return jinjaTag{}, false
		}
		tag := jinjaTag{start: i, end: i + 2 + n + 2, kind: kind}
		tag.code, tag.trimsLeft = strings.CutPrefix(text[i+2:i+2+n], "-")
		tag.code, tag.trimsRight = strings.CutSuffix(tag.code, "-")
		return tag, true
	}
	return jinjaTag{}, false
}

// tagEnd is the place of the tag's end in code, outside of its strings; -1 if
// there is none.
func tagEnd(code string, kind byte) int {
	end := closeOf(kind)
	if kind == '#' {
		return strings.Index(code, end)
	}
	for i := 0; i < len(code); i++ {
		switch {
		case code[i] == '\'' || code[i] == '"':
			i += stringLength(code[i:]) - 1
		case strings.HasPrefix(code[i:], end):
			return i
		}
	}
	return -1
}

// stringLength is the length of the string literal at the start of code, with
// its quotes; all of code if it does not end.
func stringLength(code string) int {
	for i := 1; i < len(code); i++ {
		switch code[i] {
		case '\\':
			i++
		case code[0]:
			return i + 1
		}
	}
	return len(code)
}

// trimAfter is the text behind the tag as Jinja sees it.
func (t jinjaTag) trimAfter(text string) string {
	switch {
	case t.trimsRight:
		return strings.TrimLeft(text, jinjaSpace)
	case t.kind == '%' || t.kind == '#':
		return strings.TrimPrefix(text, "\n")
	}
	return text
}

// trimBefore is the text before the tag as Jinja sees it.
func (t jinjaTag) trimBefore(text string) string {
	switch {
	case t.trimsLeft:
		return strings.TrimRight(text, jinjaSpace)
	case t.kind == '%' || t.kind == '#':
		if line := strings.TrimRight(text, " \t"); line == "" || line[len(line)-1] == '\n' {
			return line
		}
	}
	return text
}

// canonicalCode is the inside of a tag: white space only between words.
func canonicalCode(code string) string {
	var b strings.Builder
	gap := false
	last := byte(0)
	for i := 0; i < len(code); i++ {
		c := code[i]
		switch {
		case strings.IndexByte(jinjaSpace, c) >= 0:
			gap = true
			continue
		case c == '\'' || c == '"':
			n := stringLength(code[i:])
			b.WriteString(canonicalString(code[i : i+n]))
			i += n - 1
		default:
			if gap && isWord(last) && isWord(c) {
				b.WriteByte(' ')
			}
			b.WriteByte(c)
		}
		gap, last = false, c
	}
	return b.String()
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// canonicalString is a string literal in double quotes, with \n for newlines.
func canonicalString(literal string) string {
	inside := strings.TrimSuffix(literal[1:], literal[:1])
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(inside); i++ {
		switch c := inside[i]; {
		case c == '\n':
			b.WriteString(`\n`)
		case c == '"':
			b.WriteString(`\"`)
		case c == '\\' && i+1 < len(inside):
			i++
			if inside[i] != '\'' {
				b.WriteByte('\\')
			}
			b.WriteByte(inside[i])
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
