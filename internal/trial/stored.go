package trial

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/pupwasm/pupwasm/host"
	"github.com/pupwasm/pupwasm/internal/oneline"
	"github.com/pupwasm/pupwasm/store"
)

// NotKnown says of a version that nobody has noted what ran it.
const NotKnown = "what ran it last is not known"

// Stored loads the module that ran a version last, as the database keeps it. The caller closes it. Where that cannot be,
// why says so, in one line.
//
// # Errors
//
// Those of the store, and ctx's.
func Stored(
	ctx context.Context, runtime *host.Runtime, tables store.Tables, id store.ProjectionID, settings host.Settings,
) (module *host.Module, why string, err error) {
	code, err := tables.Code(ctx, id)
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(code.Module)
	switch {
	case code.Digest == "":
		return nil, NotKnown, nil
	case len(code.Module) == 0:
		return nil, "what ran it last is not a module", nil
	case hex.EncodeToString(sum[:]) != code.Digest:
		return nil, "the module that the database keeps is not what ran it last", nil
	}
	module, err = runtime.LoadWith(ctx, "of the database", code.Module, settings)
	var fault *host.LoadError
	if errors.As(err, &fault) {
		return nil, oneline.Text("what ran it last does not load: " + fault.Reason), nil
	}
	if err != nil {
		return nil, "", err
	}
	if other := module.Description.ID(); other != id.InVersion() {
		module.Close(context.WithoutCancel(ctx))
		return nil, "what ran it last is another projection or version", nil
	}
	return module, "", nil
}
