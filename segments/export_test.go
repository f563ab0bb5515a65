package segments

// UsedBytes is what counts in a worker's memory budget, for tests.
func UsedBytes(w *Worker) int { return w.shared.Memory.Used() }
