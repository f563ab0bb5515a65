// Package catalogue has the host's checks of what a projection declares, and its reader of partition keys, so that
// package puptest refuses what a host refuses, in the same words. All but this file and recorded.go is copied from the
// host's package store by scripts/copy-catalogue.sh: change it there.
package catalogue
