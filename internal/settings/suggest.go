package settings

// Nearest returns the name that somebody meant who has misspelt it, or "" when none is near.
func Nearest(misspelt string, names []string) string {
	best, distance := "", 3 // two letters, and no more than half of a short name
	if len(misspelt) > shownMax {
		return ""
	}
	for _, name := range names {
		if d := editDistance(misspelt, name); d < distance && 2*d <= len(name) {
			best, distance = name, d
		}
	}
	return best
}

// editDistance is how many letters must be added, dropped or replaced to make one text of another (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// DidYouMean ends an error about an unknown name.
func DidYouMean(misspelt string, names []string) string {
	if near := Nearest(misspelt, names); near != "" {
		return ": did you mean " + near + "?"
	}
	return ""
}
