package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/status"
	"github.com/pupwasm/pupwasm/store"
)

func newMessagesShowCommand(globals *globalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show a message with its data",
		Long: `Show a message with its data: text where it is text, else how many bytes it has. Of long data the beginning is shown;
--json has all of it.`,
		Example: `  pupwasm messages show shop.v1.120.0
  pupwasm messages show shop.v1.120.0 --json`,
		Args: wantArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runMessagesShow(cmd.Context(), globals, args[0])
		},
		ValidArgsFunction: completeArguments(globals, messageOf),
	}
	globals.addJSON(cmd.Flags(), printsJSON)
	return cmd
}

// shownMessage is the JSON form of a message with its data: a value where that is JSON, a text where it is one, and
// otherwise in base64.
type shownMessage struct {
	status.Message

	Data       any    `json:"data,omitempty"`
	DataBase64 []byte `json:"data_base64,omitempty"`
}

func showMessage(m *store.OutboxMessage) shownMessage {
	shown := shownMessage{Message: reportMessage(m)}
	kind := (&store.MessageType{ContentType: m.ContentType}).DataKind()
	switch {
	case kind == store.KindBytes || !utf8.Valid(m.Data):
		shown.DataBase64 = m.Data
	case kind == store.KindJSON && json.Valid(m.Data):
		shown.Data = json.RawMessage(m.Data)
	default:
		shown.Data = string(m.Data)
	}
	return shown
}

func runMessagesShow(ctx context.Context, globals *globalOptions, text string) error {
	id, err := parseMessageID(text)
	if err != nil {
		return err
	}
	from, err := openStore(ctx, globals)
	if err != nil {
		return err
	}
	defer from.Close()
	found, err := findMessage(ctx, from, id)
	if err != nil {
		return err
	}
	if globals.json {
		shown := make([]shownMessage, len(found))
		for i := range found {
			shown[i] = showMessage(&found[i])
		}
		return writeJSON(globals.out, shown)
	}
	for i := range found {
		if i > 0 {
			fmt.Fprintln(globals.out)
		}
		printOutboxMessage(globals, &found[i])
	}
	return nil
}

func printOutboxMessage(globals *globalOptions, m *store.OutboxMessage) {
	report := reportMessage(m)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(globals.out, "%-13s "+format+"\n", append([]any{name}, args...)...)
	}
	line("message", "%s", report.ID)
	if report.Build != 0 {
		line("version", "%s", store.ProjectionID{Version: m.Version, Build: m.Build}.VersionText())
	}
	line("subject", "%s", printable(report.Subject))
	line("type", "%s", printable(report.Type))
	line("key", "%s", shownKey(&report))
	line("event", "%d, of %s", report.Position, report.Time.Format(time.RFC3339))
	line("state", "%s", report.State)
	line("put", "%s", report.PutAt.Format(time.RFC3339))
	if report.SentAt != nil {
		line("sent", "%s", report.SentAt.Format(time.RFC3339))
	}
	if report.Attempts > 0 {
		line("attempts", "%d", report.Attempts)
		line("error", "%s", printable(report.Error))
	}
	if report.State != store.MessageSent {
		line("next", "%s", report.Next())
	}
	line("content type", "%s", printable(report.ContentType))
	line("data", "%s", count(int64(report.Bytes), "byte"))
	fmt.Fprintf(globals.out, "\n%s\n", dataText(m.Data))
}

// shownDataMax is how much of the data is shown.
const shownDataMax = 4096

// dataText shows data in one line.
func dataText(data []byte) string {
	text, whole := status.DataText(data, shownDataMax)
	if whole {
		return printable(text)
	}
	return printable(text) + "… (--json has all)"
}
