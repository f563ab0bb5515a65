package worst

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// suffix is that of a program's file.
const suffix = ".json"

// ReadCorpus reads the programs of a folder, by name.
func ReadCorpus(folder string) (map[string]*Program, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*"+suffix))
	if err != nil {
		return nil, err
	}
	programs := map[string]*Program{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		p := &Program{}
		if err := json.Unmarshal(text, p); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if err := p.Validate(); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		programs[strings.TrimSuffix(filepath.Base(file), suffix)] = p
	}
	return programs, nil
}

// Save writes a program into a folder.
func (p *Program) Save(folder, name string) error {
	return os.WriteFile(filepath.Join(folder, name+suffix), p.Text(), 0o644)
}

// Text is a program as its file has it.
func (p *Program) Text() []byte {
	text, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		panic(err) // a program is plain data
	}
	return append(text, '\n')
}
