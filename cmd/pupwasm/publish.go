package main

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/internal/plainfile"
	"github.com/pupwasm/pupwasm/internal/settings"
	"github.com/pupwasm/pupwasm/relay"
	"github.com/pupwasm/pupwasm/relay/cloudevents"
	"github.com/pupwasm/pupwasm/relay/webhook"
	"github.com/pupwasm/pupwasm/segments"
)

// publishOptions say where messages go, and how.
type publishOptions struct {
	targets  targetList
	source   string
	keep     time.Duration
	attempts int
	from     string

	ca, cert, key string // of TLS

	natsCreds, natsNKey string

	webhook publishWebhook
}

// publishWebhook are the settings of webhooks.
type publishWebhook struct {
	mode                  string
	timeout               time.Duration
	secretFile, tokenFile string
	privateRedirects      bool
}

// Defaults of webhooks.
const defaultWebhookTimeout = 10 * time.Second

func (o *publishOptions) addFlags(flags *pflag.FlagSet) {
	flags.Var(&o.targets, "publish",
		"send messages to a `URL`, or with PROJECTION=URL those of one projection: nats://…, tls://…, https://…, http://…, "+
			"file:PATH or stdout; may be repeated (see docs/messages.md)")
	asSecret(flags, "publish", secretTargets)
	flags.StringVar(&o.source, "publish-source", "",
		"source of the CloudEvents, a `URI` or the path of one (default: /pupwasm/PROJECTION)")
	flags.DurationVar(&o.keep, "publish-keep", 0,
		"how long messages stay in the outbox once they are sent, for 'pupwasm messages resend' (default 0s)")
	flags.IntVar(&o.attempts, "publish-attempts", relay.Defaults().Attempts,
		"how often a message is tried that its receiver refuses; then its key waits for 'pupwasm messages'")
	flags.StringVar(&o.from, "messages-from", string(segments.MessagesFromNow),
		"from which events on a projection sends messages that sends for the first time: those that are appended from now on, or "+
			"all from the beginning")
	flagChoices(flags, "messages-from", messagesFrom...)
	flags.StringVar(&o.ca, "publish-ca", "",
		"PEM `file` with certificates, of which one must have signed that of the receiver (default: those of the system)")
	flags.StringVar(&o.cert, "publish-cert", "", "PEM `file` with the host's own certificate, for receivers that ask for one")
	flags.StringVar(&o.key, "publish-key", "", "PEM `file` with the key of --publish-cert")
	for _, flag := range []string{"publish-ca", "publish-cert", "publish-key"} {
		flagFiles(flags, flag, pemFiles)
	}
	flags.StringVar(&o.natsCreds, "nats-creds", "", "`file` with the credentials of NATS, such as user.creds")
	flags.StringVar(&o.natsNKey, "nats-nkey", "", "`file` with the seed of the NKey for NATS")
	o.webhook.addFlags(flags)
}

func (o *publishWebhook) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.mode, "webhook-mode", string(webhook.ModeStructured),
		"how webhooks get a message: structured, a CloudEvent as JSON; or binary, the data with the rest in headers")
	flagChoices(flags, "webhook-mode", string(webhook.ModeStructured), string(webhook.ModeBinary))
	flags.DurationVar(&o.timeout, "webhook-timeout", defaultWebhookTimeout, "how long a webhook may take to answer")
	flags.StringVar(&o.secretFile, "webhook-secret-file", "",
		"`file` with the secret that signs messages to webhooks, whsec_…; several sign each")
	flags.StringVar(&o.tokenFile, "webhook-token-file", "",
		"`file` with the token that webhooks get as 'Authorization: Bearer'")
	flags.BoolVar(&o.privateRedirects, "webhook-allow-private-redirects", false,
		"let webhooks redirect to addresses that are not of the internet")
}

// messagesFrom are the values of --messages-from.
var messagesFrom = []string{string(segments.MessagesFromNow), string(segments.MessagesFromBeginning)}

// relayFlags are the flags of the options of a relay.
var relayFlags = map[string]string{"Keep": "publish-keep", "Attempts": "publish-attempts"}

// check refuses invalid settings. It reads no file.
func (o *publishOptions) check() error {
	targets, err := o.targets.parse()
	if err != nil {
		return err
	}
	if err := checkChoice("messages-from", o.from, messagesFrom); err != nil {
		return err
	}
	if err := cloudevents.CheckSource(o.source); err != nil {
		return usagef("--publish-source: %v", err)
	}
	if o.attempts == 0 {
		return usagef("--publish-attempts must be 1 or more")
	}
	var wrong *relay.OptionError
	if err := o.relayOptions().Validate(); errors.As(err, &wrong) {
		return usagef("--%s %s", relayFlags[wrong.Option], wrong.Reason)
	}
	switch {
	case (o.cert == "") != (o.key == ""):
		return usagef("--publish-cert and --publish-key are given together")
	case o.natsCreds != "" && o.natsNKey != "":
		return usagef("--nats-creds and --nats-nkey exclude each other")
	case o.webhook.timeout <= 0:
		return usagef("--webhook-timeout must be more than 0, it is %s", o.webhook.timeout)
	}
	if err := checkChoice("webhook-mode", o.webhook.mode, webhookModes); err != nil {
		return err
	}
	return o.needed(targets)
}

var webhookModes = []string{string(webhook.ModeStructured), string(webhook.ModeBinary)}

// needed refuses files of credentials that nothing takes: somebody would believe that they are used.
func (o *publishOptions) needed(targets []publishTarget) error {
	var toNATS, toWebhook bool
	for _, to := range targets {
		toNATS, toWebhook = toNATS || to.isNATS(), toWebhook || to.isWebhook()
	}
	for _, setting := range []struct {
		flag, value string
		used        bool
		by          string
	}{
		{"nats-creds", o.natsCreds, toNATS, "nats://…"},
		{"nats-nkey", o.natsNKey, toNATS, "nats://…"},
		{"webhook-secret-file", o.webhook.secretFile, toWebhook, "https://…"},
		{"webhook-token-file", o.webhook.tokenFile, toWebhook, "https://…"},
		{"publish-ca", o.ca, toNATS || toWebhook, "nats://… or https://…"},
		{"publish-cert", o.cert, toNATS || toWebhook, "nats://… or https://…"},
	} {
		if setting.value != "" && !setting.used {
			return usagef("--%s needs --publish %s", setting.flag, setting.by)
		}
	}
	return nil
}

func (o *publishOptions) relayOptions() relay.Options {
	return relay.Options{Keep: o.keep, Attempts: o.attempts}
}

// base is what holds for modules whose own files say nothing.
func (o *publishOptions) base() (base settings.Module) {
	base.Worker.MessagesFrom = segments.MessagesFrom(o.from)
	return base
}

// toStdout reports that messages are written to standard output.
func (o *publishOptions) toStdout() bool {
	for _, text := range o.targets {
		if parsePublish(text).url == toStdout {
			return true
		}
	}
	return false
}

// secretBytesMax bounds files with secrets.
const secretBytesMax = 4096

// readSecret reads the file of a flag that has a secret, without the line's end; "" for none.
func readSecret(flag, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	text, err := plainfile.Read(path, secretBytesMax)
	if err != nil {
		return "", usagef("--%s: %s: %v", flag, path, unwrapPath(err))
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", usagef("--%s: %s is empty", flag, path)
	}
	return secret, nil
}

// openWebhook opens the webhook with a URL.
func (o *publishOptions) openWebhook(url string) (relay.Sink, error) {
	options := webhook.Options{
		Mode: webhook.Mode(o.webhook.mode), Source: o.source, CAFile: o.ca, CertFile: o.cert, KeyFile: o.key,
		Timeout: o.webhook.timeout, AllowPrivateRedirects: o.webhook.privateRedirects,
	}
	var err error
	if options.Secret, err = readSecret("webhook-secret-file", o.webhook.secretFile); err != nil {
		return nil, err
	}
	if options.Token, err = readSecret("webhook-token-file", o.webhook.tokenFile); err != nil {
		return nil, err
	}
	return webhook.Open(url, options)
}

// publishFault is the error of a target that cannot be opened.
func publishFault(to publishTarget, err error) error {
	return usagef("--publish %s: %v", printable(to.shown()), err)
}
