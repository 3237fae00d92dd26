/* A cursor over a port's JSON text; not for codecs. */
#ifndef CHONKLE_JSON_H
#define CHONKLE_JSON_H

#include "chonkle_internal.h"

typedef struct {
    const uint8_t *at;
    const uint8_t *end;
} chonkle_json;

/* Stand at a port's first character that is no white space. */
chonkle_json chonkle_json_of(const chonkle_port *port);

void chonkle_json_space(chonkle_json *json);

/* Step over one character if it is the wanted one. */
bool chonkle_json_take(chonkle_json *json, char wanted);

/* Whether only white space is left. */
bool chonkle_json_done(chonkle_json *json);

#endif
