// Package web serves what an operator, Prometheus and an orchestrator ask of a host, over HTTP.
//
//	web.go     the routes, who may use them, and what every answer has
//	probes.go  /metrics, /healthz, /readyz
//	api.go     /api/v1: what 'pupwasm status' and 'pupwasm parked' show, as JSON
//	actions.go /api/v1: what changes something
//	reader.go  one reading of the databases for all who ask within a second
package web
