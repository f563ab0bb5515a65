package main

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// grid is a table of texts that may have any characters: those that would control a terminal are escaped. On a terminal
// its lines fit into the width: the widest columns are cut first.
type grid struct {
	out    io.Writer
	width  int // of the terminal, or 0 for lines of any length
	titles []string
	right  []bool // aligned so
	rows   [][]string
}

const (
	gridGap = 2 // between columns
	gridMin = 4 // characters that are left of a cell
)

func newGrid(out io.Writer) *grid { return &grid{out: out, width: terminalWidth(out)} }

// column adds a column.
func (g *grid) column(title string, right bool) {
	g.titles, g.right = append(g.titles, printable(title)), append(g.right, right)
}

// row adds a row with a cell for each column.
func (g *grid) row(cells ...string) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = printable(cell)
	}
	g.rows = append(g.rows, row)
}

// flush writes the table.
func (g *grid) flush() error {
	widths := g.widths()
	var b bytes.Buffer
	for _, row := range append([][]string{g.titles}, g.rows...) {
		line := ""
		for i, cell := range row {
			cell = cut(cell, widths[i])
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if g.right[i] {
				cell, pad = pad+cell, ""
			}
			line += cell + pad + strings.Repeat(" ", gridGap)
		}
		line = strings.TrimRight(line, " ")
		if g.width > 0 {
			line = cut(line, g.width)
		}
		b.WriteString(line + "\n")
	}
	_, err := g.out.Write(b.Bytes())
	return err
}

// widths are those of the columns: of their widest cells, or less where they do not fit.
func (g *grid) widths() []int {
	widths := make([]int, len(g.titles))
	for _, row := range append([][]string{g.titles}, g.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	if g.width == 0 {
		return widths
	}
	room := g.width - gridGap*(len(widths)-1)
	for limit := min(slices.Max(widths), g.width); limit > gridMin && total(widths) > room; limit-- {
		for i := range widths {
			widths[i] = min(widths[i], limit)
		}
	}
	return widths
}

func total(widths []int) (n int) {
	for _, w := range widths {
		n += w
	}
	return n
}

// cut is a text in at most so many characters; it ends with "…" where some are missing.
func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:max(width-1, 0)]) + "…"
}
