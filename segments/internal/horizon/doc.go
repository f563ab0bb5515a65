// Package horizon finds out when there is something to read. One [Poller] asks for the horizon on behalf of all
// segments of a worker:
//
//	Poller ──────── polls and publishes to logstate.Log, which the segments wait on
//	  ├─ pollInterval ─ the time between two polls: short while events come, longer the longer nothing comes
//	  ├─ listener ───── lets appends wake the poller while they are few (Arm), and spares them while they are many (Disarm)
//	  │    └─ notifyBudget ─ tells few from many
//	  └─ holder ─────── names an append that holds the horizon back for long
//
// The polls are the truth. Notifications only cut the time between two of them short.
package horizon
