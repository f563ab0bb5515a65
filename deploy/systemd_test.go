package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// systemdAnalyze runs a check of the unit within a root that has the program. CI has systemd, other systems may not.
func systemdAnalyze(t *testing.T, args ...string) string {
	t.Helper()
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI has to have systemd-analyze")
		}
		t.Skip("systemd-analyze is not installed")
	}
	root := t.TempDir()
	for file, mode := range map[string]os.FileMode{"usr/bin/pupwasm": 0o755, "etc/pupwasm/environment": 0o600} {
		at := filepath.Join(root, file)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	units := filepath.Join(root, "etc/systemd/system")
	if err := os.MkdirAll(units, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(units, "pupwasm.service"), read(t, "systemd/pupwasm.service"), 0o644); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(tool, append(args, "--root", root, "pupwasm.service")...)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %v: %s", command.Args, err, out)
	}
	return string(out)
}

func TestSystemd_theUnitIsValid(t *testing.T) {
	t.Parallel()
	if out := systemdAnalyze(t, "verify", "--man=no", "--recursive-errors=no"); out != "" {
		t.Errorf("verify says: %s", out)
	}
}

// TestSystemd_theUnitIsHardened bounds what systemd calls the exposure: 0 is none, 10 is root.
func TestSystemd_theUnitIsHardened(t *testing.T) {
	t.Parallel()
	out := systemdAnalyze(t, "security", "--offline=yes", "--no-pager")
	level := regexp.MustCompile(`Overall exposure level for pupwasm.service: ([0-9.]+)`).FindStringSubmatch(out)
	if level == nil {
		t.Fatalf("security says: %s", out)
	}
	if exposure, _ := strconv.ParseFloat(level[1], 64); exposure > 1.5 {
		t.Errorf("the exposure is %s: %s", level[1], out)
	}
}
