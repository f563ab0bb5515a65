package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pupwasm/pupwasm/internal/guestbuild"
)

// TestDev_onATerminal shows one screen, takes keys, and gives the terminal back as it was.
func TestDev_onATerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	folder := filepath.Join(t.TempDir(), "orders")
	if code := execute(t.Context(), []string{
		"new", "orders", "--dir", folder, "--sdk-path", filepath.Join(guestbuild.Root(t), "guest-sdk"),
	}, strings.NewReader(""), io.Discard, io.Discard); code != 0 {
		t.Fatal("exit code", code)
	}
	terminal, shown := openTerminal(t)
	ended := make(chan int, 1)
	go func() {
		ended <- execute(t.Context(), []string{"dev", folder, "--compiler", "go"}, terminal, terminal, terminal)
	}()
	readUntil(t, shown, secondScreen)
	readUntil(t, shown, "customer_id=ann orders=2 ")
	press := func(key string) {
		if _, err := io.WriteString(shown, key); err != nil {
			t.Fatal(err)
		}
	}
	press("f")
	readUntil(t, shown, "customer_id=ann orders=4 ")
	press("\x03") // Ctrl-C
	readUntil(t, shown, firstScreen)
	if code := <-ended; code != 0 {
		t.Error("exit code", code)
	}
}
