package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/pflag"

	"github.com/pupwasm/pupwasm/internal/tracing"
	"github.com/pupwasm/pupwasm/internal/tracing/otlp"
	"github.com/pupwasm/pupwasm/segments"
)

// addTracingFlags adds the flag that asks for traces.
func addTracingFlags(flags *pflag.FlagSet, endpoint *string) {
	flags.StringVar(endpoint, "otlp", "",
		"send traces to the OpenTelemetry collector at this `URL`, such as http://collector:4318, by OTLP over HTTP (default: "+
			"OTEL_EXPORTER_OTLP_ENDPOINT, if it is set; see docs/tracing.md)")
}

// trace makes the worker send traces, if somebody asks for them. The function that it returns sends what is left.
func (o *runOptions) trace(ctx context.Context) (stop func(), err error) {
	endpoint, err := otlp.Endpoint(o.otlp, os.Getenv)
	if err != nil {
		var setting *otlp.SettingError
		if errors.As(err, &setting) && setting.Variable == "" {
			return nil, usagef("--otlp %v", err)
		}
		return nil, usagef("%v", err)
	}
	if endpoint == "" {
		return func() {}, nil
	}
	provider, err := otlp.Start(ctx, otlp.Options{Endpoint: endpoint, Version: readBuild().Version, Logger: o.log})
	if err != nil {
		return nil, usagef("%v", err)
	}
	o.log.Info().Str("endpoint", endpoint).Msg("sending traces")
	o.worker.Observer = segments.JoinObservers(o.worker.Observer, tracing.Observer(provider))
	return provider.Close, nil
}
