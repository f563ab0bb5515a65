package grammar

// functions are those that a statement may call: what they give depends on their arguments alone, the same on
// every machine and at any time, once the settings of the transaction are fixed. Left out are those whose last
// digit may differ from machine to machine, those that look at the session, the clock, the catalogue or files, and
// those that take SQL, types or names in text.
var functions = set(`
	abs ceil ceiling cbrt degrees div exp factorial floor gcd lcm ln log log10 min_scale mod pi power radians
	round scale sign sqrt
	trim_scale trunc width_bucket bit_count get_bit get_byte set_bit set_byte num_nonnulls num_nulls

	ascii bit_length btrim char_length character_length chr concat concat_ws convert convert_from convert_to
	decode encode format initcap
	is_normalized left length like_escape lower lpad ltrim md5 normalize octet_length overlay position quote_ident
	quote_literal
	quote_nullable regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace
	regexp_split_to_array
	regexp_split_to_table regexp_substr repeat replace reverse right rpad rtrim sha224 sha256 sha384 sha512
	similar_escape
	similar_to_escape split_part starts_with string_to_array string_to_table strpos substr substring to_ascii
	to_hex translate unistr upper
	to_char to_date to_number to_timestamp hashtext hashtextextended

	age date_bin date_part date_trunc extract isfinite justify_days justify_hours justify_interval make_date
	make_interval make_time
	make_timestamp make_timestamptz overlaps timezone date time timestamp timestamptz interval

	text bool int2 int4 int8 float4 float8 numeric uuid bytea

	array_to_json row_to_json to_json to_jsonb json_array_elements json_array_elements_text json_array_length
	json_build_array
	json_build_object json_each json_each_text json_extract_path json_extract_path_text json_object
	json_object_keys json_strip_nulls
	json_typeof jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array
	jsonb_build_object jsonb_each
	jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_keys
	jsonb_path_exists
	jsonb_path_exists_tz jsonb_path_match jsonb_path_match_tz jsonb_path_query jsonb_path_query_array
	jsonb_path_query_array_tz
	jsonb_path_query_first jsonb_path_query_first_tz jsonb_path_query_tz jsonb_pretty jsonb_set jsonb_set_lax
	jsonb_strip_nulls
	jsonb_typeof

	array_append array_cat array_dims array_fill array_length array_lower array_ndims array_position
	array_positions array_prepend
	array_remove array_replace array_to_string array_upper cardinality trim_array unnest generate_series
	generate_subscripts

	isempty lower_inc lower_inf upper_inc upper_inf range_merge multirange int4range int8range numrange daterange
	tsrange tstzrange
	int4multirange int8multirange nummultirange datemultirange tsmultirange tstzmultirange

	array_to_tsvector numnode phraseto_tsquery plainto_tsquery querytree setweight strip to_tsquery to_tsvector
	ts_delete ts_filter
	ts_headline ts_rank ts_rank_cd tsvector_to_array websearch_to_tsquery

	array_agg avg bit_and bit_or bit_xor bool_and bool_or count every json_agg json_object_agg jsonb_agg
	jsonb_object_agg max min
	range_agg range_intersect_agg string_agg sum corr covar_pop covar_samp regr_avgx regr_avgy regr_count
	regr_intercept regr_r2
	regr_slope regr_sxx regr_sxy regr_syy stddev stddev_pop stddev_samp var_pop var_samp variance mode percentile_cont
	percentile_disc
	row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value`)

// types are those that a statement may name.
var types = set(`
	bool int2 int4 int8 float4 float8 numeric text varchar bpchar bytea uuid json jsonb jsonpath bit varbit
	date time timetz timestamp timestamptz interval tsvector tsquery
	int4range int8range numrange daterange tsrange tstzrange
	int4multirange int8multirange nummultirange datemultirange tsmultirange tstzmultirange`)

// operators are those that a statement may use, and the words that the grammar has as operators.
var operators = func() map[string]bool {
	all := set(`
		+ - * / % ^ |/ ||/ @ & | # ~ << >> = <> != < <= > >= ||
		~~ ~~* !~~ !~~* ~* !~ !~* ^@
		-> ->> #> #>> @> <@ ? ?| ?& #- @? @@ && -|- &< &> @@@ <-> !!
		BETWEEN`)
	for _, words := range []string{"NOT BETWEEN", "BETWEEN SYMMETRIC", "NOT BETWEEN SYMMETRIC"} {
		all[words] = true
	}
	return all
}()
