#ifndef EARLY_SIGNALS_H
#define EARLY_SIGNALS_H

/* SIGTERM and SIGINT before the daemon listens for them itself: the process ends with 0 at once.
 * Whoever has begun something must replace these handlers first. Safe to call again. */
void early_signals_end_in_order(void);

#endif
