// Command module compiles a projection module.
//
//	go run ./internal/build/module go|tinygo|auto FOLDER OUT.wasm
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/pupwasm/pupwasm/internal/build"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: go run ./internal/build/module go|tinygo|auto FOLDER OUT.wasm")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt) // compilers are not in the group that it goes to
	defer stop()
	used, err := build.Module(ctx, build.Compiler(os.Args[1]), os.Args[2], os.Args[3])
	var wrong *build.CompileError
	if errors.As(err, &wrong) {
		fmt.Fprint(os.Stderr, wrong.Output)
		os.Exit(1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("built %s with %s\n", os.Args[3], used)
}
