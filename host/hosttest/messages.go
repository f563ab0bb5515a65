package hosttest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/host/abi"
)

// describedMessage is an entry of the catalogue of what a guest sends.
type describedMessage struct {
	Name        string `json:"name"`
	Subject     string `json:"subject"`
	Type        string `json:"type"`
	ContentType string `json:"content_type"`
	Key         string `json:"key"`
}

const (
	messageTextMax = 200
	subjectMax     = 1024 // of a subject, with its values
	dataMax        = 1 << 20
)

var (
	subjectForm = regexp.MustCompile(`^[a-zA-Z]([\w-]|\{[a-z0-9_]+\})*(\.([\w-]|\{[a-z0-9_]+\})+)*$`)
	subjectName = regexp.MustCompile(`\{([^}]*)\}`)
	typeForm    = regexp.MustCompile(`^[!-~]*$`)
	contentForm = regexp.MustCompile("^( *[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+ *(;[ -~]*)?)?$")
)

// addMessages adds the messages behind the writes.
func (c *Catalogue) addMessages(d *description) error {
	for _, m := range d.Messages {
		if err := m.check(d.Ordering); err != nil {
			return err
		}
		if slices.ContainsFunc(c.Writes, func(other Parameters) bool { return other.Name == m.Name }) {
			return fmt.Errorf("message %q is declared twice", m.Name)
		}
		c.Writes = append(c.Writes, m.parameters())
	}
	return nil
}

func (m *describedMessage) check(ordering string) error {
	switch {
	case !isName(m.Name):
		return fmt.Errorf("message %.40q has no name", m.Name)
	case len(m.Subject) > messageTextMax, len(m.Type) > messageTextMax, len(m.ContentType) > messageTextMax:
		return fmt.Errorf("message %q has a subject, type or content_type of more than %d bytes", m.Name, messageTextMax)
	case !subjectForm.MatchString(m.Subject):
		return fmt.Errorf("message %q has subject %q", m.Name, m.Subject)
	case !typeForm.MatchString(m.Type):
		return fmt.Errorf("message %q has type %q", m.Name, m.Type)
	case !contentForm.MatchString(m.ContentType):
		return fmt.Errorf("message %q has content_type %q", m.Name, m.ContentType)
	case !slices.Contains([]string{"", "partition", "all", "none"}, m.Key) || m.Key == "all" && ordering != "global":
		return fmt.Errorf("message %q has key %q with ordering %q", m.Name, m.Key, ordering)
	}
	for _, name := range m.names() {
		if !isName(name) || name == "data" {
			return fmt.Errorf("message %q has subject %q", m.Name, m.Subject)
		}
	}
	return nil
}

// names are those in braces, each once.
func (m *describedMessage) names() (names []string) {
	for _, found := range subjectName.FindAllStringSubmatch(m.Subject, -1) {
		if !slices.Contains(names, found[1]) {
			names = append(names, found[1])
		}
	}
	return names
}

// parameters are the values of the message.
func (m *describedMessage) parameters() Parameters {
	p := Parameters{Name: m.Name, Subject: m.Subject, names: m.names()}
	for range p.names {
		p.Types = append(p.Types, Type{Kind: abi.KindText})
	}
	kind := abi.KindBytes
	media, _, _ := strings.Cut(strings.ToLower(m.ContentType), ";")
	switch media = strings.TrimSpace(media); {
	case media == "", media == "application/json", strings.HasSuffix(media, "+json"):
		kind = abi.KindJSON
	case strings.HasPrefix(media, "text/"):
		kind = abi.KindText
	}
	p.Types = append(p.Types, Type{Kind: kind})
	p.Keys = len(p.Types)
	return p
}

// checkMessage checks how large a message is, whose values have the right types.
func (p *Parameters) checkMessage(encoded []byte) error {
	values := abi.NewValues(encoded)
	subject := p.Subject
	for i := range p.Types {
		item, err := values.Next()
		switch {
		case err != nil:
			return err
		case i == len(p.names):
			if len(item.Bytes) > dataMax {
				return fmt.Errorf("it has %d bytes of data, the limit is %d", len(item.Bytes), dataMax)
			}
		default:
			subject = strings.ReplaceAll(subject, "{"+p.names[i]+"}", subjectToken(item.Bytes))
		}
	}
	if len(subject) > subjectMax {
		return fmt.Errorf("it has a subject of %d bytes, the limit is %d", len(subject), subjectMax)
	}
	return nil
}

// subjectToken is a text as a subject has it.
func subjectToken(text []byte) string {
	if len(text) == 0 {
		return "%00"
	}
	var token strings.Builder
	for _, c := range text {
		if c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			token.WriteByte(c)
		} else {
			fmt.Fprintf(&token, "%%%02X", c)
		}
	}
	return token.String()
}
