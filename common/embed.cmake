# SPDX-License-Identifier: Apache-2.0
#
# Turns data files into C sources, so that a program carries its SQL, schemas and pages with it and no
# statement is ever quoted in C. CMakeLists.txt runs it at build time:
#
#   cmake -DKIND=files -DARRAY=embedded_avro -DINPUTS=a;b -DOUTPUT=x.c -P common/embed.cmake
#       the table of struct embedded_file (common/embedded.h) named ARRAY, and ARRAY_count
#   cmake -DKIND=assets -DARRAY=page_assets -DINPUTS=a;b -DOUTPUT=x.c -P common/embed.cmake
#       the table of struct embedded_asset named ARRAY, and ARRAY_count: each file also as gzip has it
#   cmake -DKIND=statements -DPROCESS=producer -DINPUTS=a.sql;b.sql -DOUTPUT=x.c -DHEADER=x.h -P common/embed.cmake
#       enum producer_stmt and the table producer_stmts of struct pg_stmt (common/pg.h), in the order of INPUTS

cmake_minimum_required(VERSION 3.25)

# The bytes of a file as the body of an array initializer, ended by a NUL that is not counted.
function(file_bytes path ret_bytes)
	file(READ "${path}" hex HEX)
	string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
	string(REGEX REPLACE "(${byte_row})" "\\1\n\t" bytes "${bytes}")
	set(${ret_bytes} "${bytes}0x00" PARENT_SCOPE)
endfunction()

# compress(FILE GZIPPED): without a name and a time in it, so that a build is like the one before.
function(compress path result)
	execute_process(COMMAND gzip -9nc "${path}" OUTPUT_FILE "${result}" COMMAND_ERROR_IS_FATAL ANY)
endfunction()

string(REPEAT "0x..," 16 byte_row)
set(head "/* Made by common/embed.cmake from files of the tree; do not edit. */\n")
set(data "")
set(rows "")
set(enumerators "")
set(names "")
set(i 0)

foreach(path IN LISTS INPUTS)
	file_bytes("${path}" bytes)
	file(SIZE "${path}" size)
	get_filename_component(file_name "${path}" NAME)
	get_filename_component(base_name "${path}" NAME_WE)
	string(APPEND data "static const unsigned char data_${i}[] = {\n\t${bytes}};\n")
	if(KIND STREQUAL "statements")
		string(TOUPPER "${PROCESS}_${base_name}" enumerator)
		if(base_name IN_LIST names)
			message(FATAL_ERROR "two statements are called ${base_name}: ${path}")
		endif()
		list(APPEND names "${base_name}")
		string(APPEND enumerators "\t${enumerator},\n")
		string(APPEND rows "\t[${enumerator}] = {\"${base_name}\", (const char *)data_${i}},\n")
	elseif(KIND STREQUAL "assets")
		compress("${path}" "${OUTPUT}.gz")
		file_bytes("${OUTPUT}.gz" bytes)
		file(SIZE "${OUTPUT}.gz" gzip_size)
		file(SHA256 "${path}" sum)
		string(APPEND data "static const unsigned char gzip_${i}[] = {\n\t${bytes}};\n")
		string(APPEND rows "\t{\"${file_name}\", \"${sum}\", data_${i}, ${size}, gzip_${i}, ${gzip_size}},\n")
	else()
		string(APPEND rows "\t{\"${file_name}\", data_${i}, ${size}},\n")
	endif()
	math(EXPR i "${i} + 1")
endforeach()

if(KIND STREQUAL "statements")
	string(TOUPPER "${PROCESS}" upper)
	get_filename_component(header_name "${HEADER}" NAME)
	file(WRITE "${HEADER}.new" "${head}#ifndef CARILLON_${upper}_SQL_H
#define CARILLON_${upper}_SQL_H

#include \"common/pg.h\"

enum ${PROCESS}_stmt {
${enumerators}\t${upper}_STMT_COUNT
};

/* ${upper}_STMT_COUNT rows and an empty one. */
extern const struct pg_stmt ${PROCESS}_stmts[];

#endif
")
	# An unchanged list of statements must not recompile their users.
	file(COPY_FILE "${HEADER}.new" "${HEADER}" ONLY_IF_DIFFERENT)
	file(REMOVE "${HEADER}.new")
	file(WRITE "${OUTPUT}" "${head}#include \"${header_name}\"\n\n${data}
const struct pg_stmt ${PROCESS}_stmts[] = {
${rows}\t[${upper}_STMT_COUNT] = {NULL, NULL},
};
")
else()
	if(KIND STREQUAL "assets")
		file(REMOVE "${OUTPUT}.gz")
		set(row_type "struct embedded_asset")
		set(last_row "{NULL, NULL, NULL, 0, NULL, 0}")
	else()
		set(row_type "struct embedded_file")
		set(last_row "{NULL, NULL, 0}")
	endif()
	file(WRITE "${OUTPUT}" "${head}#include \"common/embedded.h\"\n\n${data}
extern const ${row_type} ${ARRAY}[];
extern const size_t ${ARRAY}_count;

const ${row_type} ${ARRAY}[] = {
${rows}\t${last_row},
};
const size_t ${ARRAY}_count = ${i};
")
endif()
