package otlp

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// tracesPath is where a collector takes traces, below its base URL.
const tracesPath = "/v1/traces"

// Endpoint returns the URL to which traces go, or "" when nobody asks for any. given is the base URL of a setting, such
// as http://collector:4318, and wins. Otherwise the variables of the specification ask for traces:
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, or OTEL_EXPORTER_OTLP_ENDPOINT, unless OTEL_SDK_DISABLED or OTEL_TRACES_EXPORTER
// says that nothing is to be sent.
//
// # Errors
//
// [*SettingError].
func Endpoint(given string, variable func(name string) string) (string, error) {
	if given != "" {
		return below("", given)
	}
	exporters := variable("OTEL_TRACES_EXPORTER")
	if strings.EqualFold(variable("OTEL_SDK_DISABLED"), "true") ||
		exporters != "" && !slices.Contains(strings.Split(exporters, ","), "otlp") {
		return "", nil
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"} {
		text := variable(name)
		if text == "" {
			continue
		}
		if err := checkProtocol(variable); err != nil {
			return "", err
		}
		if name == "OTEL_EXPORTER_OTLP_ENDPOINT" {
			return below(name, text)
		}
		at, err := parse(name, text)
		if err != nil {
			return "", err
		}
		return at.String(), nil
	}
	return "", nil
}

// SettingError says what is wrong with an endpoint.
type SettingError struct {
	Variable string // that has it; "" for the one that was given
	Reason   string // what it must be, or what to do
}

// Error names the variable.
func (e *SettingError) Error() string {
	if e.Variable == "" {
		return e.Reason
	}
	return "the variable " + e.Variable + ": " + e.Reason
}

// checkProtocol refuses variables that ask for another protocol than the one there is.
func checkProtocol(variable func(name string) string) error {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		switch protocol := variable(name); protocol {
		case "":
		case "http/protobuf":
			return nil
		default:
			return &SettingError{Variable: name, Reason: fmt.Sprintf("%.40q is not supported: set it to http/protobuf and the "+
				"endpoint to the collector's port for HTTP, usually 4318, or set OTEL_TRACES_EXPORTER=none to send no traces",
				protocol)}
		}
	}
	return nil
}

// below returns the URL for traces of a collector's base URL. It leaves one alone that is for traces already.
func below(variable, base string) (string, error) {
	at, err := parse(variable, base)
	if err != nil {
		return "", err
	}
	at.Path = strings.TrimSuffix(at.Path, "/")
	if !strings.HasSuffix(at.Path, tracesPath) {
		at.Path += tracesPath
	}
	return at.String(), nil
}

func parse(variable, text string) (*url.URL, error) {
	fault := func(reason string) (*url.URL, error) {
		return nil, &SettingError{Variable: variable, Reason: reason}
	}
	at, err := url.Parse(text)
	switch {
	case err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Hostname() == "":
		return fault("must be a URL such as http://collector:4318")
	case at.User != nil:
		return fault("has a user or a password in it, which is not sent: set OTEL_EXPORTER_OTLP_HEADERS instead")
	case at.RawQuery != "" || at.Fragment != "":
		return fault("must be a URL without ? and #, such as http://collector:4318")
	}
	return at, nil
}
