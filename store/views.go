package store

import "slices"

// ViewInstall is what [Projection.InstallViews] needs of a store. Drop and Make may also replace what is there.
type ViewInstall struct {
	Dialect Dialect
	// Find describes, for an error, what exists under the name of a view: "" when nothing does. isView reports
	// that it is a view.
	Find func(name string) (found string, isView bool, err error)
	// Drop drops a view, if it exists.
	Drop func(name string) error
	// Make makes the view with this index in [Projection].Views, or replaces it.
	Make func(index int) error
}

// InstallViews brings the views of the last declaration to those of this one. It drops views that are no longer
// declared, makes those that are new or missing, and replaces those whose SQL has changed.
//
// # Errors
//
// [*CatalogueError] when something of another owner has the name of a view; those of the functions.
func (p *Projection) InstallViews(before []View, install ViewInstall) error {
	for i := range before {
		if viewNamed(p.Views, before[i].Name) == nil {
			if err := install.Drop(before[i].Name); err != nil {
				return err
			}
		}
	}
	for i := range p.Views {
		found, isView, err := install.Find(p.Views[i].Name)
		if err != nil {
			return err
		}
		last := viewNamed(before, p.Views[i].Name)
		text, _ := p.Views[i].SQL.For(install.Dialect)
		switch {
		case found != "" && (last == nil || !isView):
			return NotTheProjections(p.Name, found)
		case found != "" && last.SQL[install.Dialect] == text:
			continue
		}
		if err := install.Make(i); err != nil {
			return err
		}
	}
	return nil
}

func viewNamed(views []View, name string) *View {
	if i := slices.IndexFunc(views, func(v View) bool { return v.Name == name }); i >= 0 {
		return &views[i]
	}
	return nil
}
