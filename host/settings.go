package host

import (
	"cmp"
	"time"

	"github.com/pupwasm/pupwasm/store"
)

// Settings are what an operator sets for one module. A zero field is the host's option.
type Settings struct {
	MemoryMiB    int           // see [Limits]
	Fuel         int64         // see [Limits]
	BatchTimeout time.Duration // see [Limits]
	Instances    Instances     // see [Options]
	// Beside is for the caller, who finds it in [Module].Settings: a comparable value, or nil. A [Registry] loads a
	// module again when it has changed.
	Beside any
}

// Validate reports what is wrong with settings, as the host does when it loads a module with them.
func (s Settings) Validate() error {
	if err := s.limits(Limits{}.withDefaults()).validate(); err != nil {
		return err
	}
	return cmp.Or(s.Instances, InstancesAuto).validate()
}

// Or returns the settings with those of another set where a field is zero.
func (s Settings) Or(other Settings) Settings {
	return Settings{
		MemoryMiB: cmp.Or(s.MemoryMiB, other.MemoryMiB), Fuel: cmp.Or(s.Fuel, other.Fuel),
		BatchTimeout: cmp.Or(s.BatchTimeout, other.BatchTimeout), Instances: cmp.Or(s.Instances, other.Instances),
		Beside: cmp.Or(s.Beside, other.Beside),
	}
}

// limits returns the limits of a host with those of the settings.
func (s Settings) limits(of Limits) Limits {
	of.MemoryMiB = cmp.Or(s.MemoryMiB, of.MemoryMiB)
	of.Fuel = cmp.Or(s.Fuel, of.Fuel)
	of.BatchTimeout = cmp.Or(s.BatchTimeout, of.BatchTimeout)
	return of
}

// raiseMemory says how a module gets more memory.
func (s Settings) raiseMemory() string {
	if s.MemoryMiB != 0 {
		return "raise memory in the settings of the module"
	}
	return "raise Limits.MemoryMiB"
}

// SettingsFiles are files beside the modules of a folder, with the settings of single ones.
type SettingsFiles struct {
	Suffix string // follows the name of a module without .wasm, such as .yaml
	// Read returns the settings of a module, whose file it is given. A module without settings has zero ones.
	Read func(file string) (Settings, error)
}

// SettingsError says why the settings of a module are refused.
type SettingsError struct {
	File       string             // of the module
	Projection store.ProjectionID // that it runs; zero when the module does not load
	Err        error              // in one line, which names the file of the settings
}

// Error is the text of Err.
func (e *SettingsError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *SettingsError) Unwrap() error { return e.Err }

// readSettings finds out which settings a file of the folder has, and reports whether it must be loaded with them.
// Where they are refused, those before stay, and the next Collect says so.
func (r *Registry) readSettings(file string, known *moduleFile) (changed bool) {
	if r.settings.Read == nil {
		known.accepted = true
		return false
	}
	settings, err := r.settings.Read(file)
	if err == nil {
		changed = !known.accepted || settings != known.settings
		known.settings, known.accepted, known.settingsErr = settings, true, nil
		return changed
	}
	if known.settingsErr != nil && known.settingsErr.Error() == err.Error() {
		return false
	}
	known.settingsErr, known.untold = err, known.accepted
	return !known.accepted
}

// refusedSettings is the change of a file that goes on with the settings before, or nil. While it is loading, nobody can
// tell with what it goes on.
func (known *moduleFile) refusedSettings(file string) *Change {
	if !known.untold || known.settingsErr == nil || known.load != nil {
		return nil
	}
	known.untold = false
	change := &Change{File: file, Previous: known.module}
	refused := &SettingsError{File: file, Err: known.settingsErr}
	if known.module != nil {
		refused.Projection = known.module.Description.ID()
	}
	change.Err = refused
	return change
}

// Recheck makes a registry that is watched read settings again, which are not only in its folder. Any goroutine may
// call it.
func (r *Registry) Recheck() {
	select {
	case r.recheck <- struct{}{}:
	default:
	}
}
