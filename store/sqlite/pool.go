package sqlite

import (
	"context"
	"errors"
	"sync"
)

// pool gives out connections, in the order of asking, and opens them when they are first needed.
type pool struct {
	open   func(ctx context.Context) (*conn, error)
	tokens chan struct{} // one for every connection in use
	closed chan struct{}
	once   sync.Once

	mu   sync.Mutex
	idle []*conn
}

var errClosed = errors.New("the store is closed")

func newPool(size int, open func(ctx context.Context) (*conn, error)) *pool {
	return &pool{open: open, tokens: make(chan struct{}, size), closed: make(chan struct{})}
}

func (p *pool) acquire(ctx context.Context) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-p.closed:
		return nil, errClosed
	default:
	}
	select {
	case p.tokens <- struct{}{}:
	case <-p.closed:
		return nil, errClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c := p.pop(); c != nil {
		c.db.SetInterrupt(ctx)
		return c, nil
	}
	c, err := p.open(ctx)
	if err != nil {
		<-p.tokens
		return nil, err
	}
	return c, nil
}

// pop takes the connection that was used last, so that a quiet store keeps few open.
func (p *pool) pop() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	c := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return c
}

func (p *pool) release(c *conn) {
	defer func() { <-p.tokens }()
	c.policy = nil
	c.db.SetInterrupt(context.Background())
	if c.broken {
		c.close()
	} else {
		c.forget()
		p.mu.Lock()
		p.idle = append(p.idle, c)
		p.mu.Unlock()
	}
}

func (p *pool) close() {
	p.once.Do(func() {
		close(p.closed)
		for range cap(p.tokens) {
			p.tokens <- struct{}{}
		}
		for c := p.pop(); c != nil; c = p.pop() {
			c.close()
		}
	})
}
