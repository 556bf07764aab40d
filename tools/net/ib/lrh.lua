-- SPDX-License-Identifier: GPL-2.0
--
-- Have Wireshark and tshark know all of a packet that was captured on the netdevice of
-- an InfiniBand port:
--
--	tshark -X lua_script:tools/net/ib/lrh.lua -i mlx5_0.1
--
-- Without it they know packets with a GRH, from that on. The local route header (LRH,
-- IBA v1 7.7) is what a cooked capture has for an address; a packet without a GRH has
-- the protocol ETH_P_IB, 0x00fb. Copied to ~/.local/lib/wireshark/plugins it is there
-- always.

local lrh = Proto("ib_lrh", "InfiniBand Local Route Header")
local next_headers = {
	[0] = "raw", [1] = "raw, IPv6", [2] = "base transport header",
	[3] = "global route header",
}
local fields = {
	vl = ProtoField.uint8("ib_lrh.vl", "Virtual Lane", base.DEC, nil, 0xf0),
	version = ProtoField.uint8("ib_lrh.version", "Link Version", base.DEC, nil, 0x0f),
	sl = ProtoField.uint8("ib_lrh.sl", "Service Level", base.DEC, nil, 0xf0),
	lnh = ProtoField.uint8("ib_lrh.lnh", "Link Next Header", base.DEC, next_headers, 0x03),
	dlid = ProtoField.uint16("ib_lrh.dlid", "Destination LID", base.DEC),
	len = ProtoField.uint16("ib_lrh.len", "Words of four bytes", base.DEC, nil, 0x07ff),
	slid = ProtoField.uint16("ib_lrh.slid", "Source LID", base.DEC),
}
local where = {
	{ fields.vl, 0, 1 }, { fields.version, 0, 1 }, { fields.sl, 1, 1 },
	{ fields.lnh, 1, 1 }, { fields.dlid, 2, 2 }, { fields.len, 4, 2 },
	{ fields.slid, 6, 2 },
}
lrh.fields = fields

-- The address of a cooked capture
local address = Field.new("sll.src.other")
-- The InfiniBand dissector has these ways in: from the GRH on, and from the BTH on
local from_grh = DissectorTable.get("ethertype"):get_dissector(0x8915)
local from_bth = DissectorTable.get("udp.port"):get_dissector(4791)

local function show(header, pinfo, tree)
	local item = tree:add(lrh, header)

	for _, field in ipairs(where) do
		item:add(field[1], header:range(field[2], field[3]))
	end
	pinfo.cols.src = string.format("LID %d", header:range(6, 2):uint())
	pinfo.cols.dst = string.format("LID %d", header:range(2, 2):uint())
end

local function dissect(way_in)
	return function(tvb, pinfo, tree)
		local header = address()

		if header and header.range:len() == 8 then
			show(header.range:tvb(), pinfo, tree)
		end
		return way_in:call(tvb, pinfo, tree)
	end
end

lrh.dissector = dissect(from_bth)
DissectorTable.get("sll.ltype"):add(0x00fb, lrh)

local global = Proto("ib_lrh_grh", "InfiniBand Local Route Header, and a global one")

global.dissector = dissect(from_grh)
DissectorTable.get("ethertype"):add(0x8915, global)
