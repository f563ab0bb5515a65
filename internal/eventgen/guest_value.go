package eventgen

import (
	"fmt"
	"go/types"
)

// assign writes what reads the next value of JSON into a variable or a field, as encoding/json does: null leaves values
// as they are, and makes pointers, slices and maps nil.
func (g *guest) assign(into string, t types.Type) {
	found, err := g.source.shapeOf(t)
	if err != nil {
		return // it is noted where the field was found
	}
	switch found.kind {
	case text:
		g.scalar(into, t, "string", "j.Text()")
	case boolean:
		g.scalar(into, t, "bool", "j.Bool()")
	case integer:
		read := fmt.Sprintf("j.Int(%s)", g.bits(found))
		if found.bits == 64 {
			read = "j.Int64()"
		}
		g.scalar(into, t, "int64", read)
	case unsigned:
		g.scalar(into, t, "uint64", fmt.Sprintf("j.Uint(%s)", g.bits(found)))
	case float:
		g.scalar(into, t, fmt.Sprintf("float%d", found.bits), fmt.Sprintf("j.Float%d()", found.bits))
	case decimal:
		g.scalar(into, t, "int64", fmt.Sprintf("j.Decimal(%d)", found.decimals))
	case instant:
		g.printf("%s.Time(j, &%s)\n", g.typed, into)
	case binary:
		g.printf("%s = %s.Bytes(j, &%s)\n", into, g.typed, g.pool("Slices", types.Typ[types.Byte]))
	case number:
		g.scalar(into, t, "string", "j.Number()")
	case raw:
		g.printf("%s = j.Raw()\n", into)
	case ownJSON:
		g.printf("%s.JSON(j, &%s)\n", g.typed, into)
	case ownText:
		g.printf("%s.Text(j, &%s)\n", g.typed, into)
	case pointer:
		g.pointer(into, found)
	case list:
		g.list(into, found)
	case dictionary:
		g.dictionary(into, found)
	case object:
		g.printf("%s(r, j, &%s)\n", g.function(found.named), into)
	}
}

// bits are those of an integer. int and uint have 32 in modules of TinyGo.
func (g *guest) bits(found shape) string {
	if found.bits == machineBits {
		return g.typed + ".IntBits"
	}
	return fmt.Sprint(found.bits)
}

// scalar writes what reads a value that is not null.
func (g *guest) scalar(into string, t types.Type, is, read string) {
	if name := g.typeName(t); name != is {
		read = fmt.Sprintf("%s(%s)", name, read)
	}
	g.printf("if !j.Null() {\n%s = %s\n}\n", into, read)
}

func (g *guest) pointer(into string, found shape) {
	g.printf("if j.Null() {\n%s = nil\n} else {\nif %s == nil {\n%s = %s.New()\n}\n", into, into, into,
		g.pool("Pointers", found.element))
	g.assign("(*"+into+")", found.element)
	g.printf("}\n")
}

func (g *guest) list(into string, found shape) {
	g.depth++
	slice, number := fmt.Sprintf("list%d", g.depth), fmt.Sprintf("number%d", g.depth)
	pool := g.pool("Slices", found.element)
	g.printf("if j.Null() {\n%s = nil\n} else {\n%s, %s := %s.Take()\n", into, number, slice, pool)
	g.printf("for a := j.Array(); a.Next(); {\n")
	g.printf("%s = append(%s, *new(%s))\n", slice, slice, g.typeName(found.element))
	g.assign(fmt.Sprintf("%s[len(%s)-1]", slice, slice), found.element)
	g.printf("}\n%s = %s.Keep(%s, %s)\n}\n", into, pool, number, slice)
	g.depth--
}

func (g *guest) dictionary(into string, found shape) {
	g.depth++
	key, value := fmt.Sprintf("key%d", g.depth), fmt.Sprintf("value%d", g.depth)
	g.printf("if j.Null() {\n%s = nil\n} else {\nif %s == nil {\n%s = %s.New()\n}\n", into, into, into,
		g.pool("Maps", found.key, found.element))
	g.printf("for o%d := j.Object(); o%d.Next(); {\n", g.depth, g.depth)
	converted := fmt.Sprintf("o%d.Key()", g.depth)
	if name := g.typeName(found.key); name != "string" {
		converted = fmt.Sprintf("%s(%s)", name, converted)
	}
	g.printf("%s, %s := %s, %s.New()\n", key, value, converted, g.pool("Pointers", found.element))
	g.assign("(*"+value+")", found.element)
	g.printf("%s[%s] = *%s\n}\n}\n", into, key, value)
	g.depth--
}
