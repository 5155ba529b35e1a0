/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARILLON_SIMULATOR_OPTIONS_H
#define CARILLON_SIMULATOR_OPTIONS_H

#include "tests/simulator/simulator.h"

/* -1 to go on, else the exit code: help was printed, or what is wrong. */
int options_parse(struct options *o, int argc, char **argv);

#endif
