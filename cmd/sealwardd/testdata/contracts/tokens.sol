// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.26;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ERC1155} from "@openzeppelin/contracts/token/ERC1155/ERC1155.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {CallType, ERC7579Utils, ExecType, Mode} from "@openzeppelin/contracts/account/utils/draft-ERC7579Utils.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";

// OpenZeppelin's tokens as they are, with something for an owner to begin with.

contract Coin is ERC20, ERC20Permit, ERC3009 {
    constructor(address[] memory owners) ERC20("Coin", "COIN") ERC20Permit("Coin") {
        for (uint256 i = 0; i < owners.length; i++) _mint(owners[i], 1e24);
    }
}

contract Cards is ERC721, Multicall {
    constructor(address owner) ERC721("Cards", "CARD") {
        for (uint256 id = 1; id <= 3; id++) _mint(owner, id);
    }
}

contract Parts is ERC1155 {
    constructor(address owner) ERC1155("") {
        for (uint256 id = 1; id <= 3; id++) _mint(owner, id, 1000 * id, "");
    }
}

// A token with the permit of DAI (dss, Dai.sol), which is all or nothing.
contract Dai is ERC20, EIP712 {
    bytes32 private constant PERMIT = keccak256("Permit(address holder,address spender,uint256 nonce,uint256 expiry,bool allowed)");
    mapping(address => uint256) public nonces;

    constructor(address owner) ERC20("Dai Stablecoin", "DAI") EIP712("Dai Stablecoin", "1") {
        _mint(owner, 1e24);
    }

    function permit(address holder, address spender, uint256 nonce, uint256 expiry, bool allowed, uint8 v, bytes32 r, bytes32 s) external {
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(PERMIT, holder, spender, nonce, expiry, allowed)));
        require(holder == ECDSA.recover(digest, v, r, s), "Dai/invalid-permit");
        require(expiry == 0 || block.timestamp <= expiry, "Dai/permit-expired");
        require(nonce == nonces[holder]++, "Dai/invalid-nonce");
        _approve(holder, spender, allowed ? type(uint256).max : 0);
    }
}

// The address of a smart account, whose code is elsewhere.
contract AccountProxy is ERC1967Proxy {
    constructor(address code, bytes memory setup) ERC1967Proxy(code, setup) {}
}

// An account of one owner that acts by modes (ERC-7579).
contract Modular {
    using ERC7579Utils for *;
    address private owner;

    constructor(address owner_) {
        owner = owner_;
    }

    receive() external payable {}

    function execute(Mode mode, bytes calldata data) external payable {
        require(msg.sender == owner);
        (CallType call, ExecType failing, , ) = mode.decodeMode();
        if (call == ERC7579Utils.CALLTYPE_SINGLE) data.execSingle(failing);
        else if (call == ERC7579Utils.CALLTYPE_BATCH) data.execBatch(failing);
        else revert();
    }
}

interface Stake {
    function depositTo(address account) external payable;
}

// Pays for everybody's operations (ERC-4337, "Paymasters").
contract Sponsor {
    // What it has becomes its deposit.
    function deposit(Stake entryPoint) external {
        entryPoint.depositTo{value: address(this).balance}(address(this));
    }

    fallback(bytes calldata) external returns (bytes memory) {
        return abi.encode(new bytes(0), uint256(0)); // no context, and valid
    }
}

// What an account may be handed over to.
contract Delegate {
    receive() external payable {}
}

// Of these the node brings the code, and this is how they are called.

interface Multicall3 {
    struct Call3 { address target; bool allowFailure; bytes callData; }
    struct Call3Value { address target; bool allowFailure; uint256 value; bytes callData; }
    struct Result { bool success; bytes returnData; }
    function aggregate3(Call3[] calldata calls) external payable returns (Result[] memory);
    function aggregate3Value(Call3Value[] calldata calls) external payable returns (Result[] memory);
}

interface Permit2 {
    struct PermitDetails { address token; uint160 amount; uint48 expiration; uint48 nonce; }
    struct PermitSingle { PermitDetails details; address spender; uint256 sigDeadline; }
    struct TokenPermissions { address token; uint256 amount; }
    struct PermitTransferFrom { TokenPermissions permitted; uint256 nonce; uint256 deadline; }
    struct SignatureTransferDetails { address to; uint256 requestedAmount; }
    struct TokenSpenderPair { address token; address spender; }
    function allowance(address owner, address token, address spender) external view returns (uint160 amount, uint48 expiration, uint48 nonce);
    function approve(address token, address spender, uint160 amount, uint48 expiration) external;
    function permit(address owner, PermitSingle calldata permitSingle, bytes calldata signature) external;
    function transferFrom(address from, address to, uint160 amount, address token) external;
    function lockdown(TokenSpenderPair[] calldata approvals) external;
    function permitTransferFrom(PermitTransferFrom calldata permit, SignatureTransferDetails calldata transferDetails, address owner, bytes calldata signature) external;
}

interface Permit2Batch {
    struct PermitBatch { Permit2.PermitDetails[] details; address spender; uint256 sigDeadline; }
    struct PermitBatchTransferFrom { Permit2.TokenPermissions[] permitted; uint256 nonce; uint256 deadline; }
    function permit(address owner, PermitBatch calldata permitBatch, bytes calldata signature) external;
    function permitTransferFrom(PermitBatchTransferFrom calldata permit, Permit2.SignatureTransferDetails[] calldata transferDetails, address owner, bytes calldata signature) external;
}
