package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/internal/scaffold"
)

type newOptions struct {
	*globalOptions

	folder   string
	template string
	sdk      string // folder
}

const newHelp = `Make the folder of a new projection, with fixtures and tests that pass. The name is that of the projection and of its
tables for readers. It needs Go, and TinyGo if it is there.

  counter   rows that many events add to: orders and total of every customer
  state     rows that one stream sets and deletes: the state of every order
  log       a row for each event
  totals    a row of state for each stream, and totals by what only its first event names
  messages  messages to others, with what rows remember: one for every order that is paid

The SDK is that of this program's release. --sdk-path takes it from a checkout of pupwasm instead, and needs no network.
In a Go workspace (go.work) that has the SDK nothing else is needed. The folder is added to a workspace that it is in.`

func newNewCommand(globals *globalOptions) *cobra.Command {
	opts := &newOptions{globalOptions: globals}
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Make the folder of a new projection",
		Long:  newHelp,
		Example: `  pupwasm new order_counter
  pupwasm new order_state --template state --dir projections/orders
  pupwasm new order_counter --sdk-path ../pupwasm/guest-sdk`,
		Args:              wantArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return runNew(cmd.Context(), opts, args[0]) },
	}
	cmd.Flags().StringVar(&opts.folder, "dir", "", "`folder` to make (default: the name)")
	cmd.Flags().StringVar(&opts.template, "template", "counter", "`template`: "+strings.Join(scaffold.Names(), ", "))
	cmd.Flags().StringVar(&opts.sdk, "sdk-path", "", "`folder` of the SDK in a checkout of pupwasm")
	opts.addJSON(cmd.Flags(), printsJSON)
	completeFlag(cmd, "template", scaffold.Names()...)
	return cmd
}

// newReport is the JSON form of what was made.
type newReport struct {
	Name      string `json:"name"`
	Template  string `json:"template"`
	Folder    string `json:"folder"`
	Workspace string `json:"workspace,omitempty"` // to whose modules it was added
}

func runNew(ctx context.Context, opts *newOptions, name string) error {
	if err := scaffold.CheckName(name); err != nil {
		return usagef("%v", err)
	}
	if !slices.Contains(scaffold.Names(), opts.template) {
		return usagef("--template %s: there are %s", printable(opts.template), strings.Join(scaffold.Names(), ", "))
	}
	if opts.folder == "" {
		opts.folder = name
	}
	folder, err := filepath.Abs(opts.folder)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(folder); err == nil {
		return usagef("%s exists: --dir names another folder", printable(opts.folder))
	}
	if _, err := exec.LookPath("go"); err != nil {
		return errors.New("the program go is not on PATH: install Go (https://go.dev/doc/install)")
	}
	project := scaffold.Project{Name: name, Template: opts.template}
	workspace := workspaceOf(ctx, filepath.Dir(folder))
	if err := opts.findSDK(ctx, &project, folder, workspace); err != nil {
		return err
	}
	if err := scaffold.Write(project, folder); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return usagef("%s exists: --dir names another folder", printable(opts.folder))
		}
		return &inputError{where: opts.folder, err: unwrapPath(err)}
	}
	report := newReport{Name: name, Template: opts.template, Folder: opts.folder, Workspace: workspace}
	if workspace != "" {
		if err := goCommand(ctx, filepath.Dir(workspace), "work", "use", folder); err != nil {
			return fmt.Errorf("%s is made, but is not in %s: %w", opts.folder, workspace, err)
		}
	} else if project.SDKPath == "" {
		if err := goCommand(ctx, folder, "mod", "tidy"); err != nil {
			return fmt.Errorf("%s is made, but its SDK is not there: run 'go mod tidy' in it: %w", opts.folder, err)
		}
	}
	return opts.tell(report)
}

func (o *newOptions) tell(report newReport) error {
	if o.json {
		return writeJSON(o.out, report)
	}
	fmt.Fprintf(o.out, "%s is a new projection in %s\n", report.Name, printable(report.Folder))
	if report.Workspace != "" {
		fmt.Fprintf(o.out, "it was added to %s\n", printable(report.Workspace))
	}
	_, err := fmt.Fprintf(o.out, "\n  cd %s\n  go test ./...     # the code\n  pupwasm test      # the compiled module\n"+
		"  pupwasm dev       # run it, and show its rows while you change it\n", printable(report.Folder))
	return err
}

// sdkModule is the path of the SDK's Go module.
const sdkModule = "github.com/pupwasm/pupwasm/guest-sdk"

var releaseVersion = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$`)

// findSDK says where a project has the SDK from.
func (o *newOptions) findSDK(ctx context.Context, p *scaffold.Project, folder, workspace string) error {
	p.SDKVersion = "v0.0.0"
	switch version := readBuild().Version; {
	case o.sdk != "":
		return o.replaceSDK(p, folder)
	case workspace != "" && goCommand(ctx, filepath.Dir(workspace), "list", "-m", sdkModule) == nil:
		return nil
	case !releaseVersion.MatchString(version):
		return usagef("this pupwasm (%s) is no release, which has its SDK to download: --sdk-path names the folder guest-sdk of a checkout",
			version)
	default:
		p.SDKVersion = version
		return nil
	}
}

// replaceSDK takes the SDK from a folder, by a path that stays right when both are moved.
func (o *newOptions) replaceSDK(p *scaffold.Project, folder string) error {
	sdk, err := filepath.Abs(o.sdk)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(sdk, "go.mod"))
	if err != nil || !strings.HasPrefix(string(text), "module "+sdkModule+"\n") {
		return usagef("--sdk-path %s: is not the folder guest-sdk of a checkout of pupwasm", printable(o.sdk))
	}
	if filepath.IsAbs(o.sdk) {
		p.SDKPath = sdk
	} else if p.SDKPath, err = relativePath(folder, sdk); err != nil {
		p.SDKPath = sdk
	}
	p.SDKPath = filepath.ToSlash(p.SDKPath)
	if strings.ContainsAny(p.SDKPath, " \t\"'`\\") {
		return usagef("--sdk-path %s: has blanks or quotes, which go.mod cannot have", printable(o.sdk))
	}
	return nil
}

// relativePath is the way from a folder that is not there yet. The go command follows links before it goes up.
func relativePath(from, to string) (string, error) {
	there := from
	for {
		if real, err := filepath.EvalSymlinks(there); err == nil {
			from = filepath.Join(real, strings.TrimPrefix(from, there))
			break
		}
		if there == filepath.Dir(there) {
			break
		}
		there = filepath.Dir(there)
	}
	if real, err := filepath.EvalSymlinks(to); err == nil {
		to = real
	}
	return filepath.Rel(from, to)
}

// workspaceOf returns the go.work that a folder is in, or "".
func workspaceOf(ctx context.Context, folder string) string {
	for {
		if info, err := os.Stat(folder); err == nil && info.IsDir() {
			break
		}
		folder = filepath.Dir(folder)
	}
	cmd := exec.CommandContext(ctx, "go", "env", "GOWORK")
	cmd.Dir = folder
	out, err := cmd.Output()
	if path := strings.TrimSpace(string(out)); err == nil && path != "off" {
		return path
	}
	return ""
}

// goCommand runs the go command in a folder.
func goCommand(ctx context.Context, folder string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, oneline.Text(string(out)))
	}
	return nil
}
