//go:build !linux

package postgres

import "errors"

const canGather = false

func (g *gatherer) gather(int) error { return errors.ErrUnsupported }

func (g *gatherer) setMark(int) error { return nil }
