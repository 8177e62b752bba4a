#ifndef CHIREDIS_SHIM_H
#define CHIREDIS_SHIM_H

#include <hiredis/hiredis.h>
#include <hiredis/read.h>
#include <stdbool.h>
#include <stddef.h>

/* hiredis as a codec only: no socket of its own, no redisReply. The layouts of redisReadTask,
 * redisReader and redisReplyObjectFunctions changed between 0.14 and 1.x, so that every access to
 * them is here, compiled against whichever header is installed. */

#if HIREDIS_MAJOR >= 1
typedef size_t chiredis_count;
#else
typedef int chiredis_count;
#endif

/* Where parsed values go: each function says whether the value was taken; false ends the parsing.
 * It is the reader's privdata, lives as long as the reader, and frees nothing. */
typedef struct chiredis_sink {
  void *context;
  bool (*take_bytes)(void *context, int type, const char *bytes, size_t length);
  bool (*take_array)(void *context, int type, size_t count);
  bool (*take_integer)(void *context, long long value);
  bool (*take_null)(void *context);
  bool (*take_unsupported)(void *context);
} chiredis_sink;

/* Any address but NULL: hiredis only hands it back, and NULL would mean "out of memory". */
static inline void *chiredis_taken(const chiredis_sink *sink, bool taken) {
  return taken ? (void *)sink : NULL;
}

/* In C because it must have hiredis's own function type, which names redisReadTask. */
static inline void *chiredis_create_string(const redisReadTask *task, char *bytes, size_t length) {
  const chiredis_sink *sink = (const chiredis_sink *)task->privdata;
  return chiredis_taken(sink, sink->take_bytes(sink->context, task->type, bytes, length));
}

/* In C because the type of `count` differs between hiredis 0.14 (int) and 1.x (size_t). */
static inline void *chiredis_create_array(const redisReadTask *task, chiredis_count count) {
  const chiredis_sink *sink = (const chiredis_sink *)task->privdata;
  return chiredis_taken(sink, sink->take_array(sink->context, task->type, (size_t)count));
}

/* In C because it must have hiredis's own function type, which names redisReadTask. */
static inline void *chiredis_create_integer(const redisReadTask *task, long long value) {
  const chiredis_sink *sink = (const chiredis_sink *)task->privdata;
  return chiredis_taken(sink, sink->take_integer(sink->context, value));
}

/* In C because it must have hiredis's own function type, which names redisReadTask. */
static inline void *chiredis_create_null(const redisReadTask *task) {
  const chiredis_sink *sink = (const chiredis_sink *)task->privdata;
  return chiredis_taken(sink, sink->take_null(sink->context));
}

#if HIREDIS_MAJOR >= 1
/* In C because only 1.x has it; without it, hiredis would drop a RESP3 double unseen. */
static inline void *chiredis_create_double(const redisReadTask *task, double value, char *text,
                                           size_t length) {
  const chiredis_sink *sink = (const chiredis_sink *)task->privdata;
  (void)value, (void)text, (void)length;
  return chiredis_taken(sink, sink->take_unsupported(sink->context));
}

/* In C because only 1.x has it; without it, hiredis would drop a RESP3 boolean unseen. */
static inline void *chiredis_create_bool(const redisReadTask *task, int value) {
  const chiredis_sink *sink = (const chiredis_sink *)task->privdata;
  (void)value;
  return chiredis_taken(sink, sink->take_unsupported(sink->context));
}
#endif

/* In C because hiredis keeps the pointer to the table: it must be a static. The values belong to
 * the sink, so nothing is freed here. */
static inline redisReader *chiredis_reader_create(chiredis_sink *sink) {
  static redisReplyObjectFunctions functions = {
      .createString = chiredis_create_string,
      .createArray = chiredis_create_array,
      .createInteger = chiredis_create_integer,
      .createNil = chiredis_create_null,
#if HIREDIS_MAJOR >= 1
      .createDouble = chiredis_create_double,
      .createBool = chiredis_create_bool,
#endif
      .freeObject = NULL,
  };
  redisReader *reader = redisReaderCreateWithFunctions(&functions);
  if (reader != NULL) reader->privdata = sink;
  return reader;
}

/* In C because the task stack is an array of structs in 0.14 and of pointers in 1.x. The type of
 * the value that waits for more bytes, 0 between replies, -1 when its type byte has not come. */
static inline int chiredis_pending_type(const redisReader *reader) {
  if (reader->ridx < 0) return 0;
#if HIREDIS_MAJOR >= 1
  return reader->task[reader->ridx]->type;
#else
  return reader->rstack[reader->ridx].type;
#endif
}

/* In C because 0.14 declares an int and 1.x a long long as the result; -1 is out of memory. */
static inline long long chiredis_format(char **target, int count, const char **arguments,
                                        const size_t *lengths) {
  return redisFormatCommandArgv(target, count, arguments, lengths);
}

#endif
