package compiler

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Features is what the compilers of Go and TinyGo emit. Without reference types there is no table.grow, whose memory no limit covers.
const Features = api.CoreFeaturesV1 | api.CoreFeatureMutableGlobal | api.CoreFeatureSignExtensionOps |
	api.CoreFeatureNonTrappingFloatToIntConversion | api.CoreFeatureBulkMemoryOperations | api.CoreFeatureMultiValue

// EngineConfig is how the engine is set up where modules are compiled and where they run: with another, the code would not be found.
func EngineConfig() wazero.RuntimeConfig {
	// The engine gives memory all of its addresses: the host's own allocator bounds it, since that is where guests that are metered
	// leave their code for a moment.
	return wazero.NewRuntimeConfig().WithCoreFeatures(Features)
}

// EngineFolder is the folder within a cache that the engine of this program keeps its code in. It is named after the engine's version and
// the machine.
var EngineFolder = sync.OnceValues(func() (string, error) {
	empty, err := os.MkdirTemp("", "pupwasm-engine-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(empty)
	if _, err := wazero.NewCompilationCacheWithDir(empty); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(empty)
	if err != nil || len(entries) != 1 {
		return "", fmt.Errorf("the engine made %d folders in its cache, not one (%w)", len(entries), err)
	}
	return filepath.Base(entries[0].Name()), nil
})
