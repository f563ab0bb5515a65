package pupwasmtest

import (
	"fmt"

	"github.com/pupwasm/pupwasm/internal/cases"
	"github.com/pupwasm/pupwasm/internal/settings"
)

// Message is a message that a projection sends. Fields other than Subject that are zero are not compared.
type Message struct {
	Subject string // with the values filled in
	Key     string // messages of one key are sent in order
	Type    string // as receivers know it
	// Data is what [encoding/json] makes of it. It is compared by its content where it is JSON; bytes are in hex.
	Data any
}

// Messages are all messages that the events of When send: those of one key in order, those of different keys in any.
func Messages(messages ...Message) Expectation {
	return func(then *cases.Then) error {
		if then.Messages == nil {
			then.Messages = &cases.Messages{}
		}
		for _, m := range messages {
			members := map[string]any{"subject": m.Subject}
			for name, text := range map[string]string{"key": m.Key, "type": m.Type} {
				if text != "" {
					members[name] = text
				}
			}
			if m.Data != nil {
				members["data"] = m.Data
			}
			row, err := cases.RowOf(settings.Place{}, members)
			if err != nil {
				return fmt.Errorf("message %s: %w", m.Subject, err)
			}
			then.Messages.All = append(then.Messages.All, row)
		}
		return nil
	}
}
