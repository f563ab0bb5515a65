// Package deploy tests the files of this folder, each by the grammar of what reads it: Kubernetes' own types, Compose's
// schema, Dockerfile's parser, PromQL's, promtool and systemd-analyze. It is a module of its own, since these bring more
// dependencies than the rest of the project has.
package deploy
