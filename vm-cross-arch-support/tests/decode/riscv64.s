# Every row of the riscv64 tables, for GNU as. riscv64.txt is made from it by
#
#   riscv64-linux-gnu-as -march=rv64gc_zba_zbb_zbc_zbs_zbkb_zbkc_zbkx_zknd_zkne_zknh_zfh_zicbom_zicboz_zihintpause \
#       riscv64.s -o riscv64.o
#   riscv64-linux-gnu-objdump -d -M no-aliases,numeric riscv64.o
#
# with binutils 2.40. Bytes, address and text are kept, symbols beside addresses dropped; the instructions of Zicond,
# which that version does not know, are appended from the manual.
	.option norelax
	.option norvc
# Integer register-immediate
	addi	x5, x6, 1
	addi	x31, x15, -2048
	addi	x8, x2, 2047
	addi	x5, x6, 0
	slti	x5, x6, 1
	slti	x31, x15, -2048
	slti	x8, x2, 2047
	slti	x5, x6, 0
	sltiu	x5, x6, 1
	sltiu	x31, x15, -2048
	sltiu	x8, x2, 2047
	sltiu	x5, x6, 0
	andi	x5, x6, 1
	andi	x31, x15, -2048
	andi	x8, x2, 2047
	andi	x5, x6, 0
	ori	x5, x6, 1
	ori	x31, x15, -2048
	ori	x8, x2, 2047
	ori	x5, x6, 0
	xori	x5, x6, 1
	xori	x31, x15, -2048
	xori	x8, x2, 2047
	xori	x5, x6, 0
	slli	x5, x6, 1
	slli	x31, x30, 63
	slli	x9, x10, 32
	srli	x5, x6, 1
	srli	x31, x30, 63
	srli	x9, x10, 32
	srai	x5, x6, 1
	srai	x31, x30, 63
	srai	x9, x10, 32
	addiw	x5, x6, 1
	addiw	x31, x15, -2048
	addiw	x8, x2, 2047
	addiw	x5, x6, 0
	slliw	x5, x6, 1
	slliw	x31, x30, 31
	srliw	x5, x6, 1
	srliw	x31, x30, 31
	sraiw	x5, x6, 1
	sraiw	x31, x30, 31
	lui	x5, 0x12345
	lui	x31, 0xfffff
	lui	x1, 0x80000
	lui	x6, 0
	auipc	x5, 0x12345
	auipc	x31, 0xfffff
	auipc	x1, 0x80000
	auipc	x6, 0

# Integer register-register
	add	x5, x6, x7
	add	x31, x1, x16
	slt	x5, x6, x7
	slt	x31, x1, x16
	sltu	x5, x6, x7
	sltu	x31, x1, x16
	and	x5, x6, x7
	and	x31, x1, x16
	or	x5, x6, x7
	or	x31, x1, x16
	xor	x5, x6, x7
	xor	x31, x1, x16
	sll	x5, x6, x7
	sll	x31, x1, x16
	srl	x5, x6, x7
	srl	x31, x1, x16
	sub	x5, x6, x7
	sub	x31, x1, x16
	sra	x5, x6, x7
	sra	x31, x1, x16
	addw	x5, x6, x7
	addw	x31, x1, x16
	subw	x5, x6, x7
	subw	x31, x1, x16
	sllw	x5, x6, x7
	sllw	x31, x1, x16
	srlw	x5, x6, x7
	srlw	x31, x1, x16
	sraw	x5, x6, x7
	sraw	x31, x1, x16

# Control transfer
	jal	x1, .+8
	jal	x0, .-4
	jal	x5, .+0xffffe
	jal	x31, .-0x100000
	jal	x1, .+0x800
	jalr	x1, 0(x5)
	jalr	x0, -2048(x1)
	jalr	x31, 2047(x30)
	beq	x5, x6, .+8
	beq	x31, x1, .-4096
	beq	x8, x0, .+4094
	beq	x0, x9, .+2048
	bne	x5, x6, .+8
	bne	x31, x1, .-4096
	bne	x8, x0, .+4094
	bne	x0, x9, .+2048
	blt	x5, x6, .+8
	blt	x31, x1, .-4096
	blt	x8, x0, .+4094
	blt	x0, x9, .+2048
	bge	x5, x6, .+8
	bge	x31, x1, .-4096
	bge	x8, x0, .+4094
	bge	x0, x9, .+2048
	bltu	x5, x6, .+8
	bltu	x31, x1, .-4096
	bltu	x8, x0, .+4094
	bltu	x0, x9, .+2048
	bgeu	x5, x6, .+8
	bgeu	x31, x1, .-4096
	bgeu	x8, x0, .+4094
	bgeu	x0, x9, .+2048

# Loads and stores
	lb	x5, 0(x6)
	lb	x31, -2048(x2)
	lb	x8, 2047(x30)
	lh	x5, 0(x6)
	lh	x31, -2048(x2)
	lh	x8, 2047(x30)
	lw	x5, 0(x6)
	lw	x31, -2048(x2)
	lw	x8, 2047(x30)
	ld	x5, 0(x6)
	ld	x31, -2048(x2)
	ld	x8, 2047(x30)
	lbu	x5, 0(x6)
	lbu	x31, -2048(x2)
	lbu	x8, 2047(x30)
	lhu	x5, 0(x6)
	lhu	x31, -2048(x2)
	lhu	x8, 2047(x30)
	lwu	x5, 0(x6)
	lwu	x31, -2048(x2)
	lwu	x8, 2047(x30)
	sb	x5, 0(x6)
	sb	x31, -2048(x2)
	sb	x8, 2047(x30)
	sh	x5, 0(x6)
	sh	x31, -2048(x2)
	sh	x8, 2047(x30)
	sw	x5, 0(x6)
	sw	x31, -2048(x2)
	sw	x8, 2047(x30)
	sd	x5, 0(x6)
	sd	x31, -2048(x2)
	sd	x8, 2047(x30)

# Fences, system
	fence	iorw, iorw
	fence	rw, rw
	fence	r, r
	fence	w, w
	fence	r, rw
	fence	rw, w
	fence	io, w
	fence	i, o
	fence	w, r
	fence.tso
	fence.i
	pause
	ecall
	ebreak

# Control and status registers
	csrrw	x5, fflags, x6
	csrrw	x0, frm, x31
	csrrw	x8, fcsr, x0
	csrrs	x5, fflags, x6
	csrrs	x0, frm, x31
	csrrs	x8, fcsr, x0
	csrrc	x5, fflags, x6
	csrrc	x0, frm, x31
	csrrc	x8, fcsr, x0
	csrrs	x5, cycle, x0
	csrrs	x6, time, x0
	csrrs	x7, instret, x0
	csrrwi	x5, fflags, 1
	csrrwi	x0, frm, 31
	csrrwi	x8, fcsr, 0
	csrrsi	x5, fflags, 1
	csrrsi	x0, frm, 31
	csrrsi	x8, fcsr, 0
	csrrci	x5, fflags, 1
	csrrci	x0, frm, 31
	csrrci	x8, fcsr, 0

# Multiplication and division
	mul	x5, x6, x7
	mul	x31, x1, x16
	mulh	x5, x6, x7
	mulh	x31, x1, x16
	mulhsu	x5, x6, x7
	mulhsu	x31, x1, x16
	mulhu	x5, x6, x7
	mulhu	x31, x1, x16
	mulw	x5, x6, x7
	mulw	x31, x1, x16
	div	x5, x6, x7
	div	x31, x1, x16
	divu	x5, x6, x7
	divu	x31, x1, x16
	rem	x5, x6, x7
	rem	x31, x1, x16
	remu	x5, x6, x7
	remu	x31, x1, x16
	divw	x5, x6, x7
	divw	x31, x1, x16
	divuw	x5, x6, x7
	divuw	x31, x1, x16
	remw	x5, x6, x7
	remw	x31, x1, x16
	remuw	x5, x6, x7
	remuw	x31, x1, x16

# Atomics
	lr.w	x5, (x6)
	sc.w	x5, x7, (x6)
	lr.w.aq	x5, (x6)
	sc.w.aq	x5, x7, (x6)
	lr.w.rl	x5, (x6)
	sc.w.rl	x5, x7, (x6)
	lr.w.aqrl	x5, (x6)
	sc.w.aqrl	x5, x7, (x6)
	amoswap.w	x5, x7, (x6)
	amoswap.w.aqrl	x31, x1, (x30)
	amoswap.w.rl	x0, x1, (x2)
	amoadd.w	x5, x7, (x6)
	amoadd.w.aqrl	x31, x1, (x30)
	amoadd.w.rl	x0, x1, (x2)
	amoand.w	x5, x7, (x6)
	amoand.w.aqrl	x31, x1, (x30)
	amoand.w.rl	x0, x1, (x2)
	amoor.w	x5, x7, (x6)
	amoor.w.aqrl	x31, x1, (x30)
	amoor.w.rl	x0, x1, (x2)
	amoxor.w	x5, x7, (x6)
	amoxor.w.aqrl	x31, x1, (x30)
	amoxor.w.rl	x0, x1, (x2)
	amomax.w	x5, x7, (x6)
	amomax.w.aqrl	x31, x1, (x30)
	amomax.w.rl	x0, x1, (x2)
	amomaxu.w	x5, x7, (x6)
	amomaxu.w.aqrl	x31, x1, (x30)
	amomaxu.w.rl	x0, x1, (x2)
	amomin.w	x5, x7, (x6)
	amomin.w.aqrl	x31, x1, (x30)
	amomin.w.rl	x0, x1, (x2)
	amominu.w	x5, x7, (x6)
	amominu.w.aqrl	x31, x1, (x30)
	amominu.w.rl	x0, x1, (x2)
	lr.d	x5, (x6)
	sc.d	x5, x7, (x6)
	lr.d.aq	x5, (x6)
	sc.d.aq	x5, x7, (x6)
	lr.d.rl	x5, (x6)
	sc.d.rl	x5, x7, (x6)
	lr.d.aqrl	x5, (x6)
	sc.d.aqrl	x5, x7, (x6)
	amoswap.d	x5, x7, (x6)
	amoswap.d.aqrl	x31, x1, (x30)
	amoswap.d.rl	x0, x1, (x2)
	amoadd.d	x5, x7, (x6)
	amoadd.d.aqrl	x31, x1, (x30)
	amoadd.d.rl	x0, x1, (x2)
	amoand.d	x5, x7, (x6)
	amoand.d.aqrl	x31, x1, (x30)
	amoand.d.rl	x0, x1, (x2)
	amoor.d	x5, x7, (x6)
	amoor.d.aqrl	x31, x1, (x30)
	amoor.d.rl	x0, x1, (x2)
	amoxor.d	x5, x7, (x6)
	amoxor.d.aqrl	x31, x1, (x30)
	amoxor.d.rl	x0, x1, (x2)
	amomax.d	x5, x7, (x6)
	amomax.d.aqrl	x31, x1, (x30)
	amomax.d.rl	x0, x1, (x2)
	amomaxu.d	x5, x7, (x6)
	amomaxu.d.aqrl	x31, x1, (x30)
	amomaxu.d.rl	x0, x1, (x2)
	amomin.d	x5, x7, (x6)
	amomin.d.aqrl	x31, x1, (x30)
	amomin.d.rl	x0, x1, (x2)
	amominu.d	x5, x7, (x6)
	amominu.d.aqrl	x31, x1, (x30)
	amominu.d.rl	x0, x1, (x2)

# Single-precision floating point
	flw	f5, 0(x6)
	flw	f31, -2048(x2)
	fsw	f5, 0(x6)
	fsw	f31, 2047(x2)
	fmadd.s	f5, f6, f7, f8
	fmadd.s	f31, f1, f2, f3, rtz
	fmsub.s	f5, f6, f7, f8
	fmsub.s	f31, f1, f2, f3, rtz
	fnmsub.s	f5, f6, f7, f8
	fnmsub.s	f31, f1, f2, f3, rtz
	fnmadd.s	f5, f6, f7, f8
	fnmadd.s	f31, f1, f2, f3, rtz
	fadd.s	f5, f6, f7
	fadd.s	f31, f1, f2, rne
	fadd.s	f31, f1, f2, rmm
	fsub.s	f5, f6, f7
	fsub.s	f31, f1, f2, rne
	fsub.s	f31, f1, f2, rmm
	fmul.s	f5, f6, f7
	fmul.s	f31, f1, f2, rne
	fmul.s	f31, f1, f2, rmm
	fdiv.s	f5, f6, f7
	fdiv.s	f31, f1, f2, rne
	fdiv.s	f31, f1, f2, rmm
	fsqrt.s	f5, f6
	fsqrt.s	f31, f1, rdn
	fsgnj.s	f5, f6, f7
	fsgnj.s	f31, f1, f2
	fsgnjn.s	f5, f6, f7
	fsgnjn.s	f31, f1, f2
	fsgnjx.s	f5, f6, f7
	fsgnjx.s	f31, f1, f2
	fmin.s	f5, f6, f7
	fmin.s	f31, f1, f2
	fmax.s	f5, f6, f7
	fmax.s	f31, f1, f2
	feq.s	x5, f6, f7
	feq.s	x31, f1, f2
	flt.s	x5, f6, f7
	flt.s	x31, f1, f2
	fle.s	x5, f6, f7
	fle.s	x31, f1, f2
	fclass.s	x5, f6
	fcvt.w.s	x5, f6
	fcvt.w.s	x31, f1, rtz
	fcvt.w.s	x31, f1, rup
	fcvt.s.w	f5, x6
	fcvt.s.w	f31, x1, rtz
	fcvt.wu.s	x5, f6
	fcvt.wu.s	x31, f1, rtz
	fcvt.wu.s	x31, f1, rup
	fcvt.s.wu	f5, x6
	fcvt.s.wu	f31, x1, rtz
	fcvt.l.s	x5, f6
	fcvt.l.s	x31, f1, rtz
	fcvt.l.s	x31, f1, rup
	fcvt.s.l	f5, x6
	fcvt.s.l	f31, x1, rtz
	fcvt.lu.s	x5, f6
	fcvt.lu.s	x31, f1, rtz
	fcvt.lu.s	x31, f1, rup
	fcvt.s.lu	f5, x6
	fcvt.s.lu	f31, x1, rtz
	fmv.x.w	x5, f6
	fmv.w.x	f5, x6

# Double-precision floating point
	fld	f5, 0(x6)
	fld	f31, -2048(x2)
	fsd	f5, 0(x6)
	fsd	f31, 2047(x2)
	fmadd.d	f5, f6, f7, f8
	fmadd.d	f31, f1, f2, f3, rtz
	fmsub.d	f5, f6, f7, f8
	fmsub.d	f31, f1, f2, f3, rtz
	fnmsub.d	f5, f6, f7, f8
	fnmsub.d	f31, f1, f2, f3, rtz
	fnmadd.d	f5, f6, f7, f8
	fnmadd.d	f31, f1, f2, f3, rtz
	fadd.d	f5, f6, f7
	fadd.d	f31, f1, f2, rne
	fadd.d	f31, f1, f2, rmm
	fsub.d	f5, f6, f7
	fsub.d	f31, f1, f2, rne
	fsub.d	f31, f1, f2, rmm
	fmul.d	f5, f6, f7
	fmul.d	f31, f1, f2, rne
	fmul.d	f31, f1, f2, rmm
	fdiv.d	f5, f6, f7
	fdiv.d	f31, f1, f2, rne
	fdiv.d	f31, f1, f2, rmm
	fsqrt.d	f5, f6
	fsqrt.d	f31, f1, rdn
	fsgnj.d	f5, f6, f7
	fsgnj.d	f31, f1, f2
	fsgnjn.d	f5, f6, f7
	fsgnjn.d	f31, f1, f2
	fsgnjx.d	f5, f6, f7
	fsgnjx.d	f31, f1, f2
	fmin.d	f5, f6, f7
	fmin.d	f31, f1, f2
	fmax.d	f5, f6, f7
	fmax.d	f31, f1, f2
	feq.d	x5, f6, f7
	feq.d	x31, f1, f2
	flt.d	x5, f6, f7
	flt.d	x31, f1, f2
	fle.d	x5, f6, f7
	fle.d	x31, f1, f2
	fclass.d	x5, f6
	fcvt.w.d	x5, f6
	fcvt.w.d	x31, f1, rtz
	fcvt.w.d	x31, f1, rup
	fcvt.d.w	f5, x6
	fcvt.wu.d	x5, f6
	fcvt.wu.d	x31, f1, rtz
	fcvt.wu.d	x31, f1, rup
	fcvt.d.wu	f5, x6
	fcvt.l.d	x5, f6
	fcvt.l.d	x31, f1, rtz
	fcvt.l.d	x31, f1, rup
	fcvt.d.l	f5, x6
	fcvt.d.l	f31, x1, rtz
	fcvt.lu.d	x5, f6
	fcvt.lu.d	x31, f1, rtz
	fcvt.lu.d	x31, f1, rup
	fcvt.d.lu	f5, x6
	fcvt.d.lu	f31, x1, rtz
	fmv.x.d	x5, f6
	fmv.d.x	f5, x6

# Half-precision floating point
	flh	f5, 0(x6)
	flh	f31, -2048(x2)
	fsh	f5, 0(x6)
	fsh	f31, 2047(x2)
	fmadd.h	f5, f6, f7, f8
	fmadd.h	f31, f1, f2, f3, rtz
	fmsub.h	f5, f6, f7, f8
	fmsub.h	f31, f1, f2, f3, rtz
	fnmsub.h	f5, f6, f7, f8
	fnmsub.h	f31, f1, f2, f3, rtz
	fnmadd.h	f5, f6, f7, f8
	fnmadd.h	f31, f1, f2, f3, rtz
	fadd.h	f5, f6, f7
	fadd.h	f31, f1, f2, rne
	fadd.h	f31, f1, f2, rmm
	fsub.h	f5, f6, f7
	fsub.h	f31, f1, f2, rne
	fsub.h	f31, f1, f2, rmm
	fmul.h	f5, f6, f7
	fmul.h	f31, f1, f2, rne
	fmul.h	f31, f1, f2, rmm
	fdiv.h	f5, f6, f7
	fdiv.h	f31, f1, f2, rne
	fdiv.h	f31, f1, f2, rmm
	fsqrt.h	f5, f6
	fsqrt.h	f31, f1, rdn
	fsgnj.h	f5, f6, f7
	fsgnj.h	f31, f1, f2
	fsgnjn.h	f5, f6, f7
	fsgnjn.h	f31, f1, f2
	fsgnjx.h	f5, f6, f7
	fsgnjx.h	f31, f1, f2
	fmin.h	f5, f6, f7
	fmin.h	f31, f1, f2
	fmax.h	f5, f6, f7
	fmax.h	f31, f1, f2
	feq.h	x5, f6, f7
	feq.h	x31, f1, f2
	flt.h	x5, f6, f7
	flt.h	x31, f1, f2
	fle.h	x5, f6, f7
	fle.h	x31, f1, f2
	fclass.h	x5, f6
	fcvt.w.h	x5, f6
	fcvt.w.h	x31, f1, rtz
	fcvt.w.h	x31, f1, rup
	fcvt.h.w	f5, x6
	fcvt.h.w	f31, x1, rtz
	fcvt.wu.h	x5, f6
	fcvt.wu.h	x31, f1, rtz
	fcvt.wu.h	x31, f1, rup
	fcvt.h.wu	f5, x6
	fcvt.h.wu	f31, x1, rtz
	fcvt.l.h	x5, f6
	fcvt.l.h	x31, f1, rtz
	fcvt.l.h	x31, f1, rup
	fcvt.h.l	f5, x6
	fcvt.h.l	f31, x1, rtz
	fcvt.lu.h	x5, f6
	fcvt.lu.h	x31, f1, rtz
	fcvt.lu.h	x31, f1, rup
	fcvt.h.lu	f5, x6
	fcvt.h.lu	f31, x1, rtz
	fmv.x.h	x5, f6
	fmv.h.x	f5, x6
	fcvt.s.d	f5, f6
	fcvt.s.d	f31, f1, rtz
	fcvt.d.s	f5, f6
	fcvt.s.h	f5, f6
	fcvt.h.s	f5, f6
	fcvt.h.s	f31, f1, rup
	fcvt.d.h	f5, f6
	fcvt.h.d	f5, f6
	fcvt.h.d	f31, f1, rdn

# Bit manipulation
	add.uw	x5, x6, x7
	add.uw	x31, x1, x16
	sh1add	x5, x6, x7
	sh1add	x31, x1, x16
	sh1add.uw	x5, x6, x7
	sh1add.uw	x31, x1, x16
	sh2add	x5, x6, x7
	sh2add	x31, x1, x16
	sh2add.uw	x5, x6, x7
	sh2add.uw	x31, x1, x16
	sh3add	x5, x6, x7
	sh3add	x31, x1, x16
	sh3add.uw	x5, x6, x7
	sh3add.uw	x31, x1, x16
	andn	x5, x6, x7
	andn	x31, x1, x16
	orn	x5, x6, x7
	orn	x31, x1, x16
	xnor	x5, x6, x7
	xnor	x31, x1, x16
	rol	x5, x6, x7
	rol	x31, x1, x16
	rolw	x5, x6, x7
	rolw	x31, x1, x16
	ror	x5, x6, x7
	ror	x31, x1, x16
	rorw	x5, x6, x7
	rorw	x31, x1, x16
	max	x5, x6, x7
	max	x31, x1, x16
	maxu	x5, x6, x7
	maxu	x31, x1, x16
	min	x5, x6, x7
	min	x31, x1, x16
	minu	x5, x6, x7
	minu	x31, x1, x16
	pack	x5, x6, x7
	pack	x31, x1, x16
	packh	x5, x6, x7
	packh	x31, x1, x16
	packw	x5, x6, x7
	packw	x31, x1, x16
	clmul	x5, x6, x7
	clmul	x31, x1, x16
	clmulh	x5, x6, x7
	clmulh	x31, x1, x16
	clmulr	x5, x6, x7
	clmulr	x31, x1, x16
	bclr	x5, x6, x7
	bclr	x31, x1, x16
	bext	x5, x6, x7
	bext	x31, x1, x16
	binv	x5, x6, x7
	binv	x31, x1, x16
	bset	x5, x6, x7
	bset	x31, x1, x16
	xperm8	x5, x6, x7
	xperm8	x31, x1, x16
	xperm4	x5, x6, x7
	xperm4	x31, x1, x16
	slli.uw	x5, x6, 1
	slli.uw	x31, x30, 63
	slli.uw	x9, x10, 32
	rori	x5, x6, 1
	rori	x31, x30, 63
	rori	x9, x10, 32
	bclri	x5, x6, 1
	bclri	x31, x30, 63
	bclri	x9, x10, 32
	bexti	x5, x6, 1
	bexti	x31, x30, 63
	bexti	x9, x10, 32
	binvi	x5, x6, 1
	binvi	x31, x30, 63
	binvi	x9, x10, 32
	bseti	x5, x6, 1
	bseti	x31, x30, 63
	bseti	x9, x10, 32
	roriw	x5, x6, 1
	roriw	x31, x30, 31
	rev8	x5, x6
	rev8	x30, x17
	clz	x5, x6
	clz	x30, x17
	clzw	x5, x6
	clzw	x30, x17
	ctz	x5, x6
	ctz	x30, x17
	ctzw	x5, x6
	ctzw	x30, x17
	cpop	x5, x6
	cpop	x30, x17
	cpopw	x5, x6
	cpopw	x30, x17
	sext.b	x5, x6
	sext.b	x30, x17
	sext.h	x5, x6
	sext.h	x30, x17
	zext.h	x5, x6
	zext.h	x30, x17
	orc.b	x5, x6
	orc.b	x30, x17
	brev8	x5, x6
	brev8	x30, x17

# Scalar cryptography
	aes64ds	x5, x6, x7
	aes64ds	x31, x1, x16
	aes64dsm	x5, x6, x7
	aes64dsm	x31, x1, x16
	aes64es	x5, x6, x7
	aes64es	x31, x1, x16
	aes64esm	x5, x6, x7
	aes64esm	x31, x1, x16
	aes64ks2	x5, x6, x7
	aes64ks2	x31, x1, x16
	aes64im	x5, x6
	aes64im	x30, x17
	aes64ks1i	x5, x6, 0
	aes64ks1i	x31, x1, 10
	sha256sig0	x5, x6
	sha256sig0	x30, x17
	sha256sig1	x5, x6
	sha256sig1	x30, x17
	sha256sum0	x5, x6
	sha256sum0	x30, x17
	sha256sum1	x5, x6
	sha256sum1	x30, x17
	sha512sig0	x5, x6
	sha512sig0	x30, x17
	sha512sig1	x5, x6
	sha512sig1	x30, x17
	sha512sum0	x5, x6
	sha512sum0	x30, x17
	sha512sum1	x5, x6
	sha512sum1	x30, x17

# Cache blocks
	cbo.inval	(x5)
	cbo.inval	(x31)
	cbo.clean	(x5)
	cbo.clean	(x31)
	cbo.flush	(x5)
	cbo.flush	(x31)
	cbo.zero	(x5)
	cbo.zero	(x31)

# Compressed
	.option rvc
	c.lwsp	x5, 0(x2)
	c.lwsp	x31, 252(x2)
	c.lwsp	x1, 64(x2)
	c.lwsp	x8, 4(x2)
	c.ldsp	x5, 0(x2)
	c.ldsp	x31, 504(x2)
	c.ldsp	x1, 64(x2)
	c.ldsp	x8, 8(x2)
	c.fldsp	f5, 0(x2)
	c.fldsp	f31, 504(x2)
	c.fldsp	f1, 64(x2)
	c.fldsp	f8, 8(x2)
	c.swsp	x5, 0(x2)
	c.swsp	x31, 252(x2)
	c.swsp	x1, 64(x2)
	c.swsp	x8, 4(x2)
	c.sdsp	x5, 0(x2)
	c.sdsp	x31, 504(x2)
	c.sdsp	x1, 64(x2)
	c.sdsp	x8, 8(x2)
	c.fsdsp	f5, 0(x2)
	c.fsdsp	f31, 504(x2)
	c.fsdsp	f1, 64(x2)
	c.fsdsp	f8, 8(x2)
	c.lw	x8, 0(x9)
	c.lw	x15, 124(x8)
	c.lw	x10, 64(x15)
	c.lw	x12, 4(x13)
	c.ld	x8, 0(x9)
	c.ld	x15, 248(x8)
	c.ld	x10, 64(x15)
	c.ld	x12, 8(x13)
	c.fld	f8, 0(x9)
	c.fld	f15, 248(x8)
	c.fld	f10, 64(x15)
	c.fld	f12, 8(x13)
	c.sw	x8, 0(x9)
	c.sw	x15, 124(x8)
	c.sw	x10, 64(x15)
	c.sw	x12, 4(x13)
	c.sd	x8, 0(x9)
	c.sd	x15, 248(x8)
	c.sd	x10, 64(x15)
	c.sd	x12, 8(x13)
	c.fsd	f8, 0(x9)
	c.fsd	f15, 248(x8)
	c.fsd	f10, 64(x15)
	c.fsd	f12, 8(x13)
	c.j	.+4
	c.j	.-2048
	c.j	.+2046
	c.j	.-2
	c.j	.+32
	c.j	.+0x400
	c.j	.+0x100
	c.j	.+0x40
	c.j	.+0x80
	c.j	.+0x200
	c.jr	x5
	c.jr	x1
	c.jalr	x6
	c.jalr	x31
	c.beqz	x8, .+4
	c.beqz	x15, .-256
	c.beqz	x9, .+254
	c.beqz	x10, .+32
	c.beqz	x10, .+64
	c.beqz	x10, .+8
	c.bnez	x8, .+4
	c.bnez	x15, .-256
	c.bnez	x9, .+254
	c.bnez	x10, .+32
	c.bnez	x10, .+64
	c.bnez	x10, .+8
	c.li	x5, 0
	c.li	x31, -32
	c.li	x8, 31
	c.lui	x5, 1
	c.lui	x31, 0xfffe0
	c.lui	x8, 31
	c.lui	x1, 0xfffff
	c.nop
	c.addi	x5, 1
	c.addi	x31, -32
	c.addi	x8, 31
	c.addiw	x5, 0
	c.addiw	x31, -32
	c.addiw	x8, 31
	c.addi16sp	x2, 16
	c.addi16sp	x2, -512
	c.addi16sp	x2, 496
	c.addi16sp	x2, 32
	c.addi16sp	x2, 64
	c.addi16sp	x2, 128
	c.addi16sp	x2, 256
	c.addi4spn	x8, x2, 4
	c.addi4spn	x15, x2, 1020
	c.addi4spn	x9, x2, 8
	c.addi4spn	x10, x2, 16
	c.addi4spn	x11, x2, 64
	c.slli	x5, 1
	c.slli	x31, 63
	c.slli	x8, 32
	c.srli	x8, 1
	c.srli	x15, 63
	c.srli	x9, 32
	c.srai	x8, 1
	c.srai	x15, 63
	c.srai	x9, 32
	c.andi	x8, 1
	c.andi	x15, -32
	c.andi	x9, 31
	c.mv	x5, x6
	c.mv	x31, x1
	c.mv	x8, x9
	c.add	x5, x6
	c.add	x31, x1
	c.add	x8, x9
	c.and	x8, x9
	c.and	x15, x8
	c.or	x8, x9
	c.or	x15, x8
	c.xor	x8, x9
	c.xor	x15, x8
	c.sub	x8, x9
	c.sub	x15, x8
	c.addw	x8, x9
	c.addw	x15, x8
	c.subw	x8, x9
	c.subw	x15, x8
	c.ebreak
