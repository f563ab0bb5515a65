package compiler

import (
	"fmt"
	"os"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Features is what the compilers of Go and TinyGo emit. Without reference types there is no table.grow, whose
// memory no limit covers.
const Features = api.CoreFeaturesV1 | api.CoreFeatureMutableGlobal | api.CoreFeatureSignExtensionOps |
	api.CoreFeatureNonTrappingFloatToIntConversion | api.CoreFeatureBulkMemoryOperations | api.CoreFeatureMultiValue

// EngineConfig is how the engine is set up where modules are compiled and where they run: with another, the
// code would not be found.
func EngineConfig() wazero.RuntimeConfig {
	// The engine gives memory all of its addresses: the host's own allocator bounds it, since that is where
	// guests that are metered leave their code for a moment.
	return wazero.NewRuntimeConfig().WithCoreFeatures(Features)
}

// EngineFolder returns the name of the folder that the engine of this program keeps its code in, within a
// cache. It is named after the engine's version and the machine. What it takes to find out is made in a
// folder, and removed.
func EngineFolder(within string) (string, error) {
	empty, err := os.MkdirTemp(within, temporary)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(empty)
	if _, err := wazero.NewCompilationCacheWithDir(empty); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(empty)
	if err != nil {
		return "", err
	}
	if len(entries) != 1 {
		return "", fmt.Errorf("the engine made %d folders in its cache, not one", len(entries))
	}
	return entries[0].Name(), nil
}
