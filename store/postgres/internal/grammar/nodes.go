package grammar

// verbs are the statements that a module may have.
var verbs = map[string]bool{
	"SelectStmt": true, "InsertStmt": true, "UpdateStmt": true, "DeleteStmt": true,
	"MergeStmt": true,
}

// field says what a field of a node has.
type field struct {
	is fieldKind
	of string // for typed: of which node
}

type fieldKind uint8

const (
	scalar fieldKind = iota // a number, a flag, a name, or a word of the grammar's own
	node                    // a node, or a list of nodes, each with its name
	typed                   // the fields of a node of a known name
)

// fieldsOf makes the fields of a node: the scalars, the nodes, and the typed ones with their nodes.
func fieldsOf(scalars, nodes []string, typedOnes map[string]string) map[string]field {
	all := map[string]field{}
	for _, name := range scalars {
		all[name] = field{is: scalar}
	}
	for _, name := range nodes {
		all[name] = field{is: node}
	}
	for name, of := range typedOnes {
		all[name] = field{is: typed, of: of}
	}
	return all
}

type (
	names  = []string
	typing = map[string]string
)

// nodes are what a tree may have, and what each node may have. Left out, and so refused, is what looks at the
// session or the clock (SQLValueFunction), reads at random (RangeTableSample), has SQL, types or paths of its own
// in text (XmlExpr, RangeTableFunc, the functions of SQL/JSON), or changes something else than rows (SELECT …
// INTO).
var nodes = map[string]map[string]field{
	"SelectStmt": fieldsOf(names{"groupDistinct", "limitOption", "op", "all"},
		names{
			"distinctClause", "targetList", "fromClause", "whereClause", "groupClause", "havingClause",
			"windowClause", "valuesLists", "sortClause", "limitOffset", "limitCount", "lockingClause",
		},
		typing{"larg": "SelectStmt", "rarg": "SelectStmt"}),
	"InsertStmt": fieldsOf(nil, names{"cols", "selectStmt", "returningList"},
		typing{"relation": "RangeVar", "onConflictClause": "OnConflictClause"}),
	"UpdateStmt": fieldsOf(nil, names{"targetList", "whereClause", "fromClause", "returningList"},
		typing{"relation": "RangeVar"}),
	"DeleteStmt": fieldsOf(nil, names{"usingClause", "whereClause", "returningList"}, typing{"relation": "RangeVar"}),
	"MergeStmt": fieldsOf(nil, names{"sourceRelation", "joinCondition", "mergeWhenClauses", "returningList"},
		typing{"relation": "RangeVar"}),

	"MergeWhenClause": fieldsOf(names{"matchKind", "matched", "commandType"},
		names{"condition", "targetList", "values"}, nil),
	"OnConflictClause": fieldsOf(names{"action"}, names{"targetList", "whereClause"}, typing{"infer": "InferClause"}),
	"InferClause":      fieldsOf(names{"conname"}, names{"indexElems", "whereClause"}, nil),
	"IndexElem":        fieldsOf(names{"name", "ordering", "nulls_ordering"}, names{"expr"}, nil),
	"CommonTableExpr": fieldsOf(names{"ctename", "ctematerialized"}, names{"aliascolnames", "ctequery"},
		typing{"search_clause": "CTESearchClause", "cycle_clause": "CTECycleClause"}),
	"CTESearchClause": fieldsOf(names{"search_breadth_first", "search_seq_column"}, names{"search_col_list"}, nil),
	"CTECycleClause": fieldsOf(names{"cycle_mark_column", "cycle_path_column"},
		names{"cycle_col_list", "cycle_mark_value", "cycle_mark_default"}, nil),

	"RangeVar":       fieldsOf(names{"schemaname", "relname", "inh", "relpersistence"}, nil, typing{"alias": "Alias"}),
	"RangeSubselect": fieldsOf(names{"lateral"}, names{"subquery"}, typing{"alias": "Alias"}),
	"RangeFunction": fieldsOf(names{"lateral", "ordinality", "is_rowsfrom"}, names{"functions", "coldeflist"},
		typing{"alias": "Alias"}),
	"JoinExpr": fieldsOf(names{"jointype", "isNatural", "rtindex"}, names{"larg", "rarg", "usingClause", "quals"},
		typing{"join_using_alias": "Alias", "alias": "Alias"}),
	"Alias": fieldsOf(names{"aliasname"}, names{"colnames"}, nil),
	"ColumnDef": fieldsOf(names{"colname", "is_local"}, nil,
		typing{"typeName": "TypeName", "collClause": "CollateClause"}),
	"WindowDef": fieldsOf(names{"name", "refname", "frameOptions"},
		names{"partitionClause", "orderClause", "startOffset", "endOffset"}, nil),
	"SortBy":      fieldsOf(names{"sortby_dir", "sortby_nulls"}, names{"node"}, nil),
	"GroupingSet": fieldsOf(names{"kind"}, names{"content"}, nil),

	"ResTarget":      fieldsOf(names{"name"}, names{"indirection", "val"}, nil),
	"MultiAssignRef": fieldsOf(names{"colno", "ncolumns"}, names{"source"}, nil),
	"SetToDefault":   fieldsOf(nil, nil, nil),
	"ColumnRef":      fieldsOf(nil, names{"fields"}, nil),
	"ParamRef":       fieldsOf(names{"number"}, nil, nil),
	"A_Star":         fieldsOf(nil, nil, nil),
	"A_Indirection":  fieldsOf(nil, names{"arg", "indirection"}, nil),
	"A_Indices":      fieldsOf(names{"is_slice"}, names{"lidx", "uidx"}, nil),
	"A_ArrayExpr":    fieldsOf(nil, names{"elements"}, nil),
	"A_Expr":         fieldsOf(names{"kind"}, names{"lexpr", "rexpr"}, nil),
	"BoolExpr":       fieldsOf(names{"boolop"}, names{"args"}, nil),
	"NullTest":       fieldsOf(names{"nulltesttype"}, names{"arg"}, nil),
	"BooleanTest":    fieldsOf(names{"booltesttype"}, names{"arg"}, nil),
	"SubLink":        fieldsOf(names{"subLinkType", "subLinkId"}, names{"testexpr", "subselect"}, nil),
	"CaseExpr":       fieldsOf(nil, names{"arg", "args", "defresult"}, nil),
	"CaseWhen":       fieldsOf(nil, names{"expr", "result"}, nil),
	"CoalesceExpr":   fieldsOf(nil, names{"args"}, nil),
	"MinMaxExpr":     fieldsOf(names{"op"}, names{"args"}, nil),
	"RowExpr":        fieldsOf(names{"row_format"}, names{"args", "colnames"}, nil),
	"GroupingFunc":   fieldsOf(nil, names{"args"}, nil),
	"NamedArgExpr":   fieldsOf(names{"name", "argnumber"}, names{"arg"}, nil),
	"FuncCall": fieldsOf(names{"agg_within_group", "agg_star", "agg_distinct", "func_variadic", "funcformat"},
		names{"args", "agg_order", "agg_filter"}, typing{"over": "WindowDef"}),
	"TypeCast":      fieldsOf(nil, names{"arg"}, typing{"typeName": "TypeName"}),
	"TypeName":      fieldsOf(names{"typemod"}, names{"typmods", "arrayBounds"}, nil),
	"CollateClause": fieldsOf(nil, names{"arg"}, nil),

	"List":    fieldsOf(nil, names{"items"}, nil),
	"String":  fieldsOf(names{"sval"}, nil, nil),
	"Integer": fieldsOf(names{"ival"}, nil, nil),
	"A_Const": fieldsOf(names{"isnull"}, nil, typing{
		"ival": "Integer", "fval": "Float", "boolval": "Boolean",
		"sval": "String", "bsval": "BitString",
	}),
	"Float":     fieldsOf(names{"fval"}, nil, nil),
	"Boolean":   fieldsOf(names{"boolval"}, nil, nil),
	"BitString": fieldsOf(names{"bsval"}, nil, nil),
}

// refusals say of some nodes what they are.
var refusals = map[string]string{
	"SQLValueFunction": "uses the clock or the session (such as current_timestamp), which gives other results in " +
		"a rebuild",
	"RangeTableSample": "takes a sample (TABLESAMPLE), which gives other results in a rebuild",
	"CurrentOfExpr":    "uses a cursor (CURRENT OF), of which there are none",
	"RangeTableFunc":   "uses XMLTABLE, which has types and defaults of its own in it: use jsonb",
	"XmlExpr":          "uses XML, which this check does not know: use jsonb",
	"XmlSerialize":     "uses XML, which this check does not know: use jsonb",
	"IntoClause":       "makes a table (SELECT INTO), which is not allowed here: declare it",
}
