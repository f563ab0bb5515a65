package webhook

// OpenByProxy is Open with what says which proxy a request goes by.
var OpenByProxy = open
