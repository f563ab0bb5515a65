package grammar

// Functions are the functions on the list.
func Functions() map[string]bool { return functions }
