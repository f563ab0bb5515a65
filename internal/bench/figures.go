package main

import (
	"slices"
	"strconv"
	"strings"
)

// spread sorts values and returns their median and ends.
func spread(values []float64) (median, least, most float64) {
	slices.Sort(values)
	return values[len(values)/2], values[0], values[len(values)-1]
}

// figures is the median of what samples have, with the least and the most in brackets when there are several.
func figures[T any](samples []T, decimals int, of func(T) float64) string {
	median, least, most := spread(valuesOf(samples, of))
	text := thousands(median, decimals)
	if len(samples) > 1 {
		text += " (" + thousands(least, decimals) + "–" + thousands(most, decimals) + ")"
	}
	return text
}

// figure is the median alone.
func figure[T any](samples []T, decimals int, of func(T) float64) string {
	median, _, _ := spread(valuesOf(samples, of))
	return thousands(median, decimals)
}

func valuesOf[T any](samples []T, of func(T) float64) []float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	return values
}

// thousands writes a number with commas.
func thousands(value float64, decimals int) string {
	text := strconv.FormatFloat(value, 'f', decimals, 64)
	whole, fraction, _ := strings.Cut(text, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction != "" {
		whole += "." + fraction
	}
	return sign + whole
}
