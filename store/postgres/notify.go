package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pupwasm/pupwasm/store"
)

const (
	// pingInterval is how long a listener that receives nothing trusts its connection.
	pingInterval = 6 * time.Second
	// pingPatience is how long a ping may take.
	pingPatience = 5 * time.Second
)

var (
	errNotificationsLost = errors.New("notifications do not arrive: a pooler that works by transaction swallows them")
	errTwoPhase          = errors.New("appends do not notify: the server allows prepared transactions, which " +
		"notifications exclude, and the setting pupwasm.notify is not on")
)

// Listen waits for notifications of appends. See [store.Notifier].
//
// It sends a ping through another connection, since an answer on the same one would prove nothing: a pooler in
// transaction mode runs LISTEN on a server connection that it takes from the listener at once.
func (s backend) Listen(ctx context.Context, wake func()) error {
	config := s.pool.Config().ConnConfig
	config.OnNotification = nil // the pools ignore them
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return translate(err)
	}
	defer closeWithin(conn, pingPatience)
	l := &listener{store: s.Store, conn: conn, appends: s.options.Schema + ".wake", pings: s.options.Schema + ".ping." +
		token()}
	if err := l.begin(ctx); err != nil {
		return translate(err)
	}
	for {
		if err := l.prove(ctx, wake); err != nil {
			return translate(err)
		}
		for heard := true; heard; {
			if heard, err = l.hear(ctx, pingInterval, wake); err != nil {
				return translate(err)
			}
		}
	}
}

// listener is one connection that notifications come to.
type listener struct {
	store   *Store
	conn    *pgx.Conn
	appends string // the channel that appends notify
	pings   string // the channel that only this listener knows
	proven  bool
}

func (l *listener) begin(ctx context.Context) error {
	var may bool
	if err := l.conn.QueryRow(ctx, l.store.queries.mayNotify).Scan(&may); err != nil {
		return err
	}
	if !may {
		return errTwoPhase
	}
	for _, channel := range []string{l.appends, l.pings} {
		if _, err := l.conn.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
			return err
		}
	}
	return nil
}

// prove sends a ping and waits until anything arrives. The first time only the ping itself counts.
func (l *listener) prove(ctx context.Context, wake func()) error {
	within, cancel := context.WithTimeout(ctx, pingPatience)
	defer cancel()
	if _, err := l.store.control.Exec(within, l.store.queries.notify, l.pings); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	for {
		heard, err := l.hear(within, pingPatience, wake)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case within.Err() != nil || err == nil && !heard:
			return errNotificationsLost
		case err != nil:
			return err
		case l.proven:
			return nil
		}
	}
}

// hear waits for one notification and passes it on, or reports that none came in time.
func (l *listener) hear(ctx context.Context, wait time.Duration, wake func()) (heard bool, err error) {
	within, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	note, err := l.conn.WaitForNotification(within)
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case err != nil && within.Err() != nil && !l.conn.IsClosed():
		return false, nil
	case err != nil:
		return false, fmt.Errorf("waiting for notifications: %w", err)
	case note.Channel == l.pings && !l.proven:
		l.proven = true
		wake()
	case note.Channel == l.appends && l.proven:
		wake()
	}
	return true, nil
}

// closeWithin says goodbye to the server, which may be gone.
func closeWithin(conn *pgx.Conn, patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = conn.Close(ctx)
}

// token is a name that nobody else has.
func token() string {
	name := make([]byte, 8)
	_, _ = rand.Read(name) // never fails
	return hex.EncodeToString(name)
}

// Arm makes appends notify. See [store.Notifier].
func (s backend) Arm(ctx context.Context, listener store.Listener, d time.Duration) (quiet bool, err error) {
	query := s.queries.arm
	if listener.Elsewhere {
		query = s.queries.armElsewhere
	}
	err = s.control.QueryRow(ctx, query, listener.Name, d).Scan(&quiet)
	return quiet, translate(err)
}

// Disarm takes Arm back. See [store.Notifier].
func (s backend) Disarm(ctx context.Context, listener store.Listener) error {
	_, err := s.control.Exec(ctx, s.queries.disarm, listener.Name)
	return translate(err)
}
