package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"

	"github.com/pupwasm/pupwasm/scripts"
)

// Installed is what is there to build modules with.
type Installed struct {
	Go         string `json:"go,omitempty"`           // the version that the current folder selects: go1.26.8; "" for none
	GoPath     string `json:"go_path,omitempty"`      // of the go command
	TinyGo     string `json:"tinygo,omitempty"`       // the version: 0.41.1; "" for none that is late enough
	TinyGoPath string `json:"tinygo_path,omitempty"`  // of its program
	Cache      string `json:"cache_folder,omitempty"` // where TinyGo is installed to, and what was built is kept
}

// Toolchain looks for the compilers each time it is called.
func Toolchain(ctx context.Context) Installed {
	found := Installed{Cache: cacheFolder()}
	environment, err := readGoEnvironment(ctx, ".")
	if err == nil {
		found.GoPath, _ = exec.LookPath("go")
		_, found.Go, _ = tool{kind: Go}.version(ctx, environment)
	}
	if path := lookForTinyGo(); path != "" {
		found.TinyGoPath = path
		_, found.TinyGo, _ = tool{kind: TinyGo, path: path}.version(ctx, environment)
	}
	return found
}

// elsewhere is what to do where TinyGo cannot be installed by a script.
const elsewhere = "install TinyGo its official way (https://tinygo.org/getting-started/install/) or build modules with Go"

// InstallTinyGo installs TinyGo on Debian, and on what is made from it, unless it is there. The script writes what it does
// to out, and its complaints to errs.
//
// # Errors
//
// One line that says what to do on other systems.
func InstallTinyGo(ctx context.Context, in io.Reader, out, errs io.Writer) error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("TinyGo can be installed on Debian only: %s", elsewhere)
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", scripts.TinyGo)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, errs
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit):
		return errors.New("TinyGo is not installed: the line above says why")
	case err != nil:
		return fmt.Errorf("there is no bash to install TinyGo with: %s", elsewhere)
	}
	return nil
}
