/* In C because it must run before the Swift runtime, which has constructors of its own: in their
 * milliseconds, too, SIGTERM has to be an orderly end. */

#include "early_signals.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

/* Nothing has been begun that could be left half done. */
static void end(int number) {
  (void)number;
  _exit(0);
}

/* What SIGHUP did when the process began: `nohup` has it ignored. */
static struct sigaction hang_up_before;
static int hang_up_is_taken = 0;
static volatile sig_atomic_t hang_up_came = 0;

/* No log file is open yet that could be opened anew. */
static void remember(int number) {
  (void)number;
  hang_up_came = 1;
}

static void take_hang_up(void) {
  struct sigaction action = {.sa_handler = remember, .sa_flags = SA_RESTART};
  if (hang_up_is_taken) return;
  hang_up_is_taken = 1;
  sigaction(SIGHUP, &action, &hang_up_before);
}

void early_signals_hang_up_as_before(void) {
  if (!hang_up_is_taken) return;
  sigaction(SIGHUP, &hang_up_before, NULL);
  if (hang_up_came) raise(SIGHUP);
}

void early_signals_end_in_order(void) {
  struct sigaction action = {.sa_handler = end};
  sigset_t ours;
  sigemptyset(&ours);
  sigaddset(&ours, SIGTERM);
  sigaddset(&ours, SIGINT);
  sigaddset(&ours, SIGHUP);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  take_hang_up();
  /* A supervisor may have blocked them until we can take them: one that waits is taken here. */
  sigprocmask(SIG_UNBLOCK, &ours, NULL);
  /* A reader that goes away is an error of the write, not the end of the process. */
  signal(SIGPIPE, SIG_IGN);
}

#ifdef __ELF__
/* Tests are linked with this object, too, under a `main` of their own: it is not for them. */
extern int main(int, char **);
extern int wch_sidecar_main(int, char **) __attribute__((weak));

static void at_start(void) {
  if (main == wch_sidecar_main) early_signals_end_in_order();
}

/* The dynamic loader calls these before any library's constructor. */
__attribute__((section(".preinit_array"), used)) static void (*const start)(void) = at_start;
#endif
