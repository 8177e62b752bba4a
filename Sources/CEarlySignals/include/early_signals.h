#ifndef EARLY_SIGNALS_H
#define EARLY_SIGNALS_H

/* SIGTERM and SIGINT before the daemon listens for them itself: the process ends with 0 at once.
 * Whoever has begun something must replace these handlers first. Safe to call again. */
void early_signals_end_in_order(void);

/* SIGHUP, which does nothing from then on, does again what it did when the process began, and does
 * it now if it came meanwhile: for whatever a closed terminal should end. */
void early_signals_hang_up_as_before(void);

#endif
