package cases

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/pupwasm/pupwasm/internal/rowtext"
	"github.com/pupwasm/pupwasm/internal/settings"
	"github.com/pupwasm/pupwasm/store"
)

// Messages are all messages that the events of "when" send. Those of one key are in order; those of different keys are
// not.
type Messages struct {
	Place settings.Place
	All   []Row // members of messages; those without a member are not compared
}

// messageMembers are the members of a message. A message has a subject always.
var messageMembers = []string{"subject", "key", "type", "content_type", "data"}

// messages reads a list of messages.
func (r *reader) messages(then *Then, m *settings.Member) {
	then.Messages = &Messages{Place: m.Place}
	if m.Kind != settings.List {
		r.fail(m.Value, "messages must be a list ([] for none), it is %s", m.Shown())
	}
	for n := range m.List {
		of := &m.List[n]
		if of.Kind != settings.Section {
			r.fail(of.Value, "a message must be members with values, such as {subject: shop.paid, data: {n: 1}}, it is %s",
				of.Shown())
			continue
		}
		subject := false
		for i := range of.Map.Members {
			member := &of.Map.Members[i]
			subject = subject || member.Name == "subject"
			switch {
			case !slices.Contains(messageMembers, member.Name):
				r.unknown(member, messageMembers...)
			case member.Name != "data" && member.Kind != settings.Scalar:
				r.fail(member.Value, "%s must be a text, it is %s", member.Name, member.Shown())
			}
		}
		if !subject {
			r.fail(of.Value, "the message has no subject")
		}
		then.Messages.All = append(then.Messages.All, Row{Place: of.Value, Members: of.Map.Members})
	}
}

// messageValue is a member of a message that was sent.
func messageValue(m *store.Message, name string) store.Value {
	switch name {
	case "subject":
		return store.Text(m.Subject)
	case "key":
		return store.BytesOf(store.KindText, m.Key)
	case "type":
		return store.Text(m.Type)
	case "content_type":
		return store.Text(m.ContentType)
	}
	of := store.MessageType{ContentType: m.ContentType}
	return store.BytesOf(of.DataKind(), m.Data)
}

// sentBy are the messages that events of "when" have sent, in order of position and index.
func (o *outcome) sentBy(c *Case) []store.Message {
	given := int64(0)
	if c.Given > 0 {
		given = c.Events[c.Given-1].Position
	}
	return slices.DeleteFunc(o.sent.Messages(), func(m store.Message) bool { return m.Position <= given })
}

// judgeMessages compares what was sent with what the case says.
func judgeMessages(c *Case, o *outcome, fail failFunc) {
	if c.Then.Messages == nil {
		return
	}
	want, is := c.Then.Messages, o.sentBy(c)
	if len(o.projection.Messages) == 0 && len(want.All) > 0 {
		fail(want.Place, "the projection has no messages: list them in the Messages of the projection")
		return
	}
	j := &messageJudge{is: is, paired: make([]int, len(is)), fail: fail}
	for i := range j.paired {
		j.paired[i] = -1
	}
	var left []int
	for n := range want.All {
		if !j.pair(n, &want.All[n], j.same) {
			left = append(left, n)
		}
	}
	for _, n := range left {
		w := &want.All[n]
		if j.pair(n, w, j.sameSubject) {
			j.members(w, &is[slices.Index(j.paired, n)])
			continue
		}
		fail(w.Place, "there is no message %s", memberTexts(w.Members))
	}
	for i := range is {
		if j.paired[i] < 0 {
			fail(want.Place, "there is a message besides: %s", messageText(&is[i]))
		}
	}
	j.order(want)
}

// messageJudge pairs messages that were sent with those that a case says.
type messageJudge struct {
	is     []store.Message
	paired []int // by message, the number of what the case says, or -1
	fail   failFunc
}

// pair pairs what a case says with the first message that fits and is not paired yet.
func (j *messageJudge) pair(n int, w *Row, fits func(*Row, *store.Message) bool) bool {
	for i := range j.is {
		if j.paired[i] < 0 && fits(w, &j.is[i]) {
			j.paired[i] = n
			return true
		}
	}
	return false
}

func (j *messageJudge) same(w *Row, m *store.Message) bool {
	return !slices.ContainsFunc(w.Members, func(member settings.Member) bool { return !fitsMessage(&member, m) })
}

func (j *messageJudge) sameSubject(w *Row, m *store.Message) bool {
	return !slices.ContainsFunc(w.Members, func(member settings.Member) bool {
		return member.Name == "subject" && !fitsMessage(&member, m)
	})
}

// fitsMessage reports whether a message has what a case says of a member.
func fitsMessage(want *settings.Member, m *store.Message) bool {
	is := messageValue(m, want.Name)
	same, err := matches(store.Type{Kind: is.Kind}, want, is)
	return same && err == nil
}

// members tells which members of a message differ.
func (j *messageJudge) members(w *Row, m *store.Message) {
	var parts []string
	for i := range w.Members {
		if member := &w.Members[i]; !fitsMessage(member, m) {
			parts = append(parts, fmt.Sprintf("%s is %s, want %s", member.Name, lineOf(messageValue(m, member.Name)),
				(&cell{member: member}).text()))
		}
	}
	j.fail(w.Place, "message %s: %s", m.Subject, strings.Join(parts, "; "))
}

// order tells the first message of a key that was sent before one that the case has in front of it.
func (j *messageJudge) order(want *Messages) {
	last := map[string]int{}
	for i := range j.is {
		n, key := j.paired[i], string(j.is[i].Key)
		if n < 0 {
			continue
		}
		if before, is := last[key]; is && n < before {
			j.fail(want.All[n].Place, "message %s is sent behind %s, which has the same key", j.is[i].Subject,
				memberTexts(want.All[before].Members))
			return
		}
		last[key] = n
	}
}

// messageText is a message that was sent, as a case says it.
func messageText(m *store.Message) string {
	var parts []string
	for _, name := range messageMembers {
		if name != "content_type" {
			parts = append(parts, name+"="+lineOf(messageValue(m, name)))
		}
	}
	return strings.Join(parts, " ")
}

func memberTexts(members []settings.Member) string {
	var parts []string
	for i := range members {
		parts = append(parts, members[i].Name+"="+(&cell{member: &members[i]}).text())
	}
	return strings.Join(parts, " ")
}

// lineOf is a value in one line.
func lineOf(v store.Value) string {
	if v.Kind != store.KindBytes && bytes.ContainsAny(v.Bytes(), "\r\n") {
		return valueJSON(v)
	}
	return rowtext.Of(v)
}

// writesMessages reports that an update writes what was sent: the case says it, or says nothing yet and the projection
// has messages.
func (r *Result) writesMessages() bool {
	if r.Case.Then == nil {
		return len(r.first.projection.Messages) > 0
	}
	return r.Case.Then.Messages != nil
}

// messagesText are the messages as an update writes them, each in braces, by the texts of a name and of a value: with the
// members that the case names, or without the content type, and without a key that no other message has.
func (r *Result) messagesText(nameText func(string) string, text func(store.Value) string) (all []string) {
	named := map[string]bool{}
	if r.Case.Then != nil && r.Case.Then.Messages != nil {
		for _, m := range r.Case.Then.Messages.All {
			for i := range m.Members {
				named[m.Members[i].Name] = true
			}
		}
	}
	sent := r.first.sentBy(r.Case)
	for i := range sent {
		m := &sent[i]
		var parts []string
		for _, name := range messageMembers {
			shown := named[name]
			if len(named) == 0 {
				shown = name != "content_type" && (name != "key" || string(m.Key) != m.MessageID.String())
			}
			if shown {
				parts = append(parts, nameText(name)+": "+text(messageValue(m, name)))
			}
		}
		all = append(all, "{"+strings.Join(parts, ", ")+"}")
	}
	return all
}
